"""Any label set as images with labels that a panoptic network can be trained on.

Accepted by `open_training_set`: a folder that `mbps build`, `mbps predict` or an import wrote, a release on disk or on the
Hub, an export of ours, and everything else `segmentation_sets` reads (COCO panoptic, Cityscapes trees, folders of maps).
Decisions (ours):

* images are the set's own `image` column; a set without one gets those of the source it was made from, or of the folder
  that is named, joined by image id. None is made up: an image that is missing ends it;
* what was decoded is kept in memory up to `MEMORY_BYTES`, so that small sets are read once and large ones work;
* labels that came from elsewhere say nothing of what made them, so weights that learn from them are not label-free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.attached_images import AttachedImages, joined_frames
from mbps_dataset.formats.class_tables import class_names as cityscapes_names
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.importing import CHANGED
from mbps_dataset.formats.layouts import label_digest
from mbps_dataset.formats.opening import open_label_set
from mbps_dataset.formats.own_exports import Exported, find_export
from mbps_dataset.formats.segmentation_sets import open_labels
from mbps_dataset.labelset import card
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import read_row, read_rows, read_schema
from mbps_dataset.models.panoptic.classes import MOST_CLASSES
from mbps_dataset.models.panoptic.record import LearnedFrom
from mbps_dataset.records import decode
from mbps_dataset.sources import Frame, Source, open_source
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.store import digest_of
from mbps_dataset.training.panoptic.samples import PanopticSample, labelled_sample, sample_of_row


MEMORY_BYTES = 2_000_000_000
"""Of decoded samples that are kept."""

NOT_OURS = "labels: made outside of mbps-dataset, perhaps by hand"

_COLUMNS = ("image_id", "semantic", "panoptic", "segments_info")


@dataclass(frozen=True)
class _Entry:
    """One labelled image: how it is read, how many things and segments of any kind it has (None: not known)."""

    image_id: str
    read: Callable[[], PanopticSample]
    things: int | None = None
    segments: int | None = None


class LabelledImages(Sequence[PanopticSample]):
    """Samples read when asked for, also by several threads; what fits into `memory_bytes` is read once."""

    def __init__(self, entries: Sequence[_Entry], memory_bytes: int = MEMORY_BYTES) -> None:
        self._entries, self._free, self._kept = entries, memory_bytes, dict[int, PanopticSample]()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> PanopticSample:  # type: ignore[override]
        if (kept := self._kept.get(index)) is not None:
            return kept
        sample = self._entries[index].read()
        size = sum(each.numel() * each.element_size() for each in (sample.image, sample.semantic, sample.instance))
        if size <= self._free and index not in self._kept:
            self._kept[index], self._free = sample, self._free - size
        return sample

    def chosen(self, indices: Sequence[int]) -> LabelledImages:
        """Only these, in this order."""
        return LabelledImages([self._entries[index] for index in indices], self._free)

    @property
    def image_ids(self) -> list[str]:
        """Ids in order."""
        return [entry.image_id for entry in self._entries]

    def with_things(self) -> list[int]:
        """Indices of the images with a thing; decodes only what does not tell."""
        return [k for k, e in enumerate(self._entries) if (len(self[k].class_ids) if e.things is None else e.things)]

    def known_to_be_void(self) -> bool:
        """Whether no image has a segment of any kind, where all of them tell."""
        return all(entry.segments == 0 for entry in self._entries)


@dataclass(frozen=True)
class TrainingSet:
    """Labelled images, their classes and things, and what made them."""

    name: str
    class_names: tuple[str, ...]
    things: tuple[int, ...]
    samples: LabelledImages
    made_by: LearnedFrom

    def require_trainable(self) -> None:
        """Raises `InputError` for a set that no panoptic network can learn from: one image, no thing, all void."""
        if len(self.samples) < 2:
            raise InputError(
                f"{self.name} has {len(self.samples)} image; a network would only learn to repeat it: give at least 2."
            )
        if len(self.class_names) > MOST_CLASSES:
            raise InputError(f"{self.name} has {len(self.class_names)} classes; networks take at most {MOST_CLASSES}.")
        if self.samples.known_to_be_void():
            raise InputError(f"{self.name}: every pixel of every image is void, so there is nothing to learn.")
        if not self.things or not self.samples.with_things():
            what = "no class is a thing" if not self.things else "no image has a thing"
            raise InputError(
                f"{self.name}: {what}, and a panoptic network learns things; build it with another things.method or "
                "instances.method."
            )

    def require_same_classes(self, names: Sequence[str], things: Sequence[int], other: str) -> None:
        """Raises `InputError` unless `other` has the same classes in the same order, and the same of them are things."""
        if tuple(names) != self.class_names:
            places = range(max(len(names), len(self.class_names)))
            k = next(k for k in places if tuple(names)[k : k + 1] != self.class_names[k : k + 1])
            here, there = (repr(each[k]) if k < len(each) else "none" for each in (self.class_names, tuple(names)))
            raise InputError(f"Classes differ: class {k} is {here} in {self.name} and {there} in {other}.")
        if differing := set(things) ^ set(self.things):
            k = min(differing)
            here, there = ("a thing" if k in each else "stuff" for each in (self.things, things))
            raise InputError(
                f"Classes differ: {self.class_names[k]!r} is {here} in {self.name} and {there} in {other}."
            )


def open_training_set(
    reference: str,
    *,
    recipe: str | None = None,
    revision: str | None = None,
    splits: Sequence[str] = (),
    data_dir: Path | None = None,
    source: str | None = None,
    limit: int | None = None,
    usual: str = "train",
) -> TrainingSet:
    """The label set at a path or of a Hub id, with its images.

    `splits` chooses some (default: `usual` where there is one, else all); `data_dir` and `source` say where the images of
    a set without them lie; `limit` keeps the first images. Raises `InputError` saying what is missing or wrong,
    `PublishError` if the Hub cannot be reached.
    """
    images, wanted = AttachedImages(data_dir, source), _Wanted(tuple(splits), usual, limit)
    path = Path(reference).expanduser()
    if path.exists() and (exported := find_export(path)) is not None:
        return _of_export(exported, wanted, images)
    if path.exists() and not (path / "labelset.json").is_file() and not any(path.glob("*/labelset.json")):
        if path.is_dir() and (path / "stages" / "build.json").is_file():
            LabelSetFolder(path)  # raises: unfinished
        return _of_others(path, wanted, images)
    return _of_own(open_label_set(reference, recipe=recipe, revision=revision), reference, revision, wanted, images)


@dataclass(frozen=True)
class _Wanted:
    """Which images of a set: of these splits, or of the usual one, and how many of them."""

    splits: tuple[str, ...]
    usual: str
    limit: int | None

    def of(self, there: Sequence[str]) -> tuple[str, ...]:
        """The splits that are taken of those that there are."""
        return self.splits or ((self.usual,) if self.usual in there else tuple(there))


def _of_own(
    built: LabelSetFolder,
    reference: str,
    revision: str | None,
    wanted: _Wanted,
    images: AttachedImages,
) -> TrainingSet:
    document, calibration = built.document, built.calibration
    chosen = wanted.of(built.splits)
    rows = [(split, path, k, row) for split in chosen for path in built.files(split)
            for k, row in enumerate(read_rows(path, ["image_id", "segments_info"]))][: wanted.limit]  # fmt: skip
    for split in chosen:
        built.row_count(split)  # raises: the training would be of a part of the set
    frames: Mapping[str, Frame] = {}
    held = all("image" in read_schema(path).names for split in chosen for path in built.files(split))
    if not held or images.data_dir is not None:
        ids = [row["image_id"] for _, _, _, row in rows]
        frames = joined_frames(
            reference, ids, images.frames(reference, chosen, lambda: built.open_source(with_truth=False))
        )
    entries = [
        _Entry(
            row["image_id"],
            _row_reader(path, k, frames.get(row["image_id"]), calibration.void),
            sum(segment["isthing"] for segment in row["segments_info"]),
            len(row["segments_info"]),
        )
        for _, path, k, row in rows
    ]
    made_by = LearnedFrom(
        recipe=document["recipe"]["name"],
        source=document["source"]["name"],
        splits=chosen,
        images=len(entries),
        identity=document["identity"],
        rows=document["digests"].get("rows", ""),
        revision=revision or "",
        named=calibration.cluster_to_class is not None,
        licence=licence_of(document["source"]["name"]),
        supervision=document["supervision"],
        ground_truth_used=tuple(document["ground_truth_used"]),
    )
    return TrainingSet(reference, calibration.class_names, calibration.things, LabelledImages(entries), made_by)


def licence_of(source: str) -> str:
    """The licence under which a label set of this source is published: as on its card."""
    known = card.licence(source)
    return known.get("license_name", known["license"])


def _row_reader(path: Path, index: int, frame: Frame | None, void: int) -> Callable[[], PanopticSample]:
    columns = [*_COLUMNS, *(("image",) if frame is None else ())]

    def read() -> PanopticSample:
        row = decode(read_row(path, index, columns))
        return sample_of_row(row, image=None if frame is None else frame.image(), void=void)

    return read


def _of_export(exported: Exported, wanted: _Wanted, images: AttachedImages) -> TrainingSet:
    described, name = exported.description, str(exported.root)
    chosen = wanted.of(exported.splits)
    readers = dict(list(exported.readers(chosen, None, None).items())[: wanted.limit])
    origin, labels = described.origin.get("labelset", {}), label_digest(exported.root, described.format)
    truth = tuple(described.origin.get("ground_truth_used", (NOT_OURS,)))

    def own() -> Source:
        if not origin:
            raise InputError("the export does not say what it was made from.")
        return open_source(**origin["source"])

    frames = joined_frames(name, list(readers), images.frames(name, chosen, own))
    entries = [
        _Entry(k, _labels_reader(read, frames[k], described.things, described.void)) for k, read in readers.items()
    ]
    source = origin.get("source", {}).get("name", "another source")
    made_by = LearnedFrom(
        recipe=described.origin.get("recipe", "export"),
        source=source,
        splits=chosen,
        images=len(entries),
        identity=described.origin.get("identity", ""),
        rows=labels,
        revision="",
        named=described.named,
        licence=licence_of(source),
        supervision=described.origin.get("supervision", {}),
        ground_truth_used=truth if labels == described.origin.get("labels") else (*truth, CHANGED),
    )
    return TrainingSet(name, described.class_names, tuple(sorted(described.things)), LabelledImages(entries), made_by)


def _of_others(path: Path, wanted: _Wanted, images: AttachedImages) -> TrainingSet:
    labels = open_labels(path, splits=wanted.splits)
    image_ids = list(labels)[: wanted.limit]
    frames = joined_frames(str(path), image_ids, images.frames(str(path), wanted.splits, None))
    things = tuple(sorted(taxonomy.THINGS_19))
    entries = [
        _Entry(image_id, _labels_reader(partial(labels.__getitem__, image_id), frames[image_id], things, labels.void))
        for image_id in image_ids
    ]
    made_by = LearnedFrom(
        recipe="imported",
        source=path.name,
        splits=wanted.splits or ("all",),
        images=len(entries),
        identity=_content_digest(path, image_ids),
        rows="",
        revision="",
        named=True,
        licence="unknown",
        supervision={"labels": f"unknown: {path.name}; what made them is not known here"},
        ground_truth_used=(NOT_OURS,),
    )
    return TrainingSet(str(path), tuple(cityscapes_names(19)), things, LabelledImages(entries), made_by)


def _content_digest(path: Path, image_ids: Sequence[str]) -> str:
    """Digest of the files of a form that has none: all below a folder, or a JSON and the folder of its name."""
    below = path if path.is_dir() else path.with_suffix("")
    files = [*([path] if path.is_file() else []), *sorted(each for each in below.rglob("*") if each.is_file())]
    return digest_of(list(image_ids), [(str(each.relative_to(path.parent)), DIGESTS.digest(each)) for each in files])


def _labels_reader(
    read: Callable[[], Labels], frame: Frame, things: Sequence[int], void: int
) -> Callable[[], PanopticSample]:
    """Labels of another form as a sample: crowds and thing pixels outside of every instance are void."""

    def sample() -> PanopticSample:
        labels = read()
        semantic, ids = labels.semantic, labels.instance
        class_ids: list[int] = []
        numbered = np.zeros(semantic.shape, np.int32)
        is_thing = np.isin(semantic, things)
        if ids is not None:
            for number in np.unique(ids[(ids > 0) & is_thing]).tolist():
                mask = (ids == number) & is_thing
                class_ids.append(int(np.bincount(semantic[mask]).argmax()))
                numbered[mask] = len(class_ids)
        semantic = np.where(is_thing & (numbered == 0), void, semantic)
        return labelled_sample(labels.image_id, frame.image(), semantic, numbered, class_ids, void=void)

    return sample
