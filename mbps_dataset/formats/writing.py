"""Exporting a label set: labels only, image by image, into a folder that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats import cups
from mbps_dataset.formats.description import MARKER, Description, FormatWriter, LabelRow
from mbps_dataset.formats.layouts import FORMATS, label_digest
from mbps_dataset.formats.opening import describe, label_rows
from mbps_dataset.formats.target import whole_folder
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
    progress: bool = False,
) -> ExportResult:
    """Write `built` to `target` in a format of `formats.FORMATS`, splits of the set or all that have rows.

    `size` (height, width) is the training resolution of "cups" and of no other format. Raises `InputError` if `target`
    is not empty, the set is damaged, or something does not fit the format; `StoreError` if it cannot be written.
    """
    module = FORMATS[format_name]
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
                _write_split(built, split, writer, description, bar)
                notes += _notes(writer, split, description)
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


def _write_split(
    built: LabelSetFolder, split: str, writer: FormatWriter, description: Description, bar: ProgressBar
) -> None:
    seen: set[str] = set()
    for row in label_rows(built, split):
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
    return (
        f"# Panoptic pseudo-labels, recipe {origin['recipe']}, as {description.format}\n\n{layout}\n\n"
        f"Class ids are {names}; things: "
        f"{', '.join(description.class_names[k] for k in description.things) or 'none'}.\n\n"
        f"Held: {module.HELD}. Not held: {module.NOT_HELD}.\n\n"
        f"Label set `{origin['identity']}`, mbps-dataset {origin['package_version']}; ground truth used for the labels: "
        f"{used}. Images are not part of it. `mbps eval` reads this folder.\n"
    )
