"""Exporting a label set, image by image, into a folder that appears whole or not at all: labels, and images for a trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats import cups
from mbps_dataset.formats.attached_images import AttachedImages, joined_frames
from mbps_dataset.formats.description import MARKER, Description, FormatWriter, LabelRow
from mbps_dataset.formats.layouts import FORMATS, LAYOUTS, label_digest
from mbps_dataset.formats.opening import describe, image_files, label_rows
from mbps_dataset.formats.pictures import picture_of
from mbps_dataset.formats.target import whole_folder
from mbps_dataset.formats.trainer_folder import PicturedRow
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.store.progress import ProgressBar


@dataclass(frozen=True)
class ExportResult:
    """What was exported, where, and what a person should know about it."""

    target: Path
    description: Description
    notes: tuple[str, ...]


def export(
    built: LabelSetFolder,
    target: Path,
    format_name: str,
    *,
    splits: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    images: AttachedImages | None = None,
    progress: bool = False,
) -> ExportResult:
    """Write `built` to `target` in a format of `formats.FORMATS`, splits of the set or all that have rows.

    `size` (height, width) is the training resolution of "cups" and of no other format; `images` says where those of a
    layout lie, if they are not in the set or where they were. Raises `InputError` if `target` is not empty, the set is
    damaged, an image is missing, or something does not fit the format; `StoreError` if it cannot be written.
    """
    module = FORMATS[format_name]
    if images is not None and format_name not in LAYOUTS:
        raise InputError(f"{format_name} holds labels only; --data-dir and --source are for --layout.")
    if size is not None and format_name != "cups":
        raise InputError(f"{format_name} keeps the label set's own size; --size is for cups.")
    description = replace(describe(built, format_name), options={"size": list(size)} if size else {})
    module.Writer.check(description)
    if format_name == "cups" and size is None:
        _check_size_is_that_of_the_images(built)
    counts = {split: built.row_count(split) for split in splits or built.splits}
    counts = {split: count for split, count in counts.items() if count}
    if not counts:
        raise InputError(f"{built.root} has no rows to export.")
    description = replace(description, splits=counts)
    notes: list[str] = []
    with whole_folder(target) as folder:
        with ProgressBar("exporting", sum(counts.values()), show=progress) as bar:
            for split in counts:
                writer = module.Writer(folder, description, split)
                rows = label_rows(built, split)
                if format_name in LAYOUTS:
                    rows = _pictured(rows, built, split, images or AttachedImages())
                _write_split(rows, split, writer, description, bar)
                notes += _notes(writer, split, description)
        if format_name in LAYOUTS:
            notes += module.finish(folder, description)
        description = replace(description, origin={**description.origin, "labels": label_digest(folder, format_name)})
        (folder / "README.md").write_text(_readme(description), encoding="utf-8")
        (folder / MARKER).write_text(description.to_json(), encoding="utf-8")
    return ExportResult(target, description, tuple(notes))


def _check_size_is_that_of_the_images(built: LabelSetFolder) -> None:
    if built.document["recipe"]["settings"]["output"]["size"] == "working":
        raise InputError(
            f"{built.root} has labels at working size, so the training resolution of CUPS, {cups.SCALE} of the images', "
            "is not known; give it, e.g. --size 640x1280 for Cityscapes."
        )


def _pictured(
    rows: Iterable[LabelRow], built: LabelSetFolder, split: str, images: AttachedImages
) -> Iterator[LabelRow]:
    """Rows with their images: those of the set, or else of the source it was made from."""
    held = None if images.data_dir is not None else image_files(built, split)
    if held is None:
        name, ids = str(built.root), [row.image_id for row in label_rows(built, split)]
        frames = joined_frames(name, ids, images.frames(name, [split], lambda: built.open_source(with_truth=False)))
    for row in rows:
        image = frames[row.image_id] if held is None else next(held)
        fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(LabelRow)}
        yield PicturedRow(**fields, picture=picture_of(image, row.image_id))


def _write_split(
    rows: Iterable[LabelRow], split: str, writer: FormatWriter, description: Description, bar: ProgressBar
) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.image_id in seen:
            raise InputError(
                f"image {row.image_id!r} occurs twice in the split {split!r}; every image may count once."
            )
        seen.add(row.image_id)
        _check(row, description)
        writer.write(row)
        bar.update()
    writer.close()


def _check(row: LabelRow, description: Description) -> None:
    """Raises `InputError` if a row contradicts the classes of its label set: an export would hide it."""
    for segment in row.segments:
        if bool(segment["isthing"]) != (segment["category_id"] in description.things):
            raise InputError(f"{row.image_id}: segment {segment['id']} and its class {segment['category_id']} disagree "
                             "about being a thing; build the label set again.")  # fmt: skip


def _notes(writer: FormatWriter, split: str, description: Description) -> list[str]:
    if not isinstance(writer, cups.Writer):
        return []
    chosen = cups.things_for_cups(writer.all_px, writer.inside_px)
    if set(chosen) == set(description.things):
        return []
    names = ", ".join(description.class_names[k] for k in chosen) or "none"
    return [f"{split}: by its share of {cups.THING_SHARE}, CUPS will take {len(chosen)} classes for things ({names}); "
            f"the label set has {len(description.things)}."]  # fmt: skip


def _readme(description: Description) -> str:
    """A page for whoever finds the folder."""
    module, origin = FORMATS[description.format], description.origin
    layout = (module.__doc__ or "").split("\n\n", 2)[1]
    names = "Cityscapes train ids" if description.named else "pseudo-classes, whose numbers mean nothing by themselves"
    used = "; ".join(origin["ground_truth_used"]) or "none"
    images = (
        "Images are not part of it." if description.format not in LAYOUTS else "Images are links where they can be."
    )
    return (
        f"# Panoptic pseudo-labels, recipe {origin['recipe']}, as {description.format}\n\n{layout}\n\n"
        f"Class ids are {names}; things: "
        f"{', '.join(description.class_names[k] for k in description.things) or 'none'}.\n\n"
        f"Held: {module.HELD}. Not held: {module.NOT_HELD}.\n\n"
        f"Label set `{origin['identity']}`, mbps-dataset {origin['package_version']}; ground truth used for the labels: "
        f"{used}. {images} `mbps eval` reads this folder.\n"
    )
