"""A label set that a panoptic network predicts: the columns, files, document and card of any other.

    output/recipe.json          which weights, by digest, and how: another prediction is refused
    output/data/SPLIT-*.parquet the columns, a file whole or not at all; the same command goes on with those missing
    output/labelset.json        provenance: the weights, the set they learned from, and what that was made from
    output/README.md            card

Decisions (ours):

* what is not predicted is not invented: depth is 0 (unknown) everywhere, and the card says so;
* ground truth that went into the labels of the set that the weights learned from went into these, too; weights without a
  record of what they learned from are not taken for label-free;
* pixels of no segment are void in every map. Classes, things and whether classes have names are those of that set;
* an image is computed with one thread, several images at a time, so that labels do not depend on the number of cores.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbps_dataset import taxonomy
from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.labelling.drawing import encode_preview
from mbps_dataset.labelling.stage import one_thread
from mbps_dataset.labelling.workers import attempt, default_workers, why
from mbps_dataset.labelset import card
from mbps_dataset.labelset.build import BuildResult, vouched_files
from mbps_dataset.labelset.document import count_segments
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.shards import Shard, ShardNote, finished_note, rows_digest, write_shard
from mbps_dataset.models.panoptic.network import PanopticNetwork, PanopticPrediction
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import fault_of_name
from mbps_dataset.records import FORMAT_VERSION, LabelledImage, encode, features
from mbps_dataset.sources import Frame, Source
from mbps_dataset.store import Failure, Store, digest_of, remove_abandoned, write_atomically, write_json
from mbps_dataset.store.progress import ProgressBar


VERSION = 1
"""Raised whenever a change of code changes what is predicted by the same weights."""

NAME = "predicted"
"""How a predicted set is called where a recipe's name is asked for, unless another name is given."""

ROWS_PER_FILE = 64

_COMPONENT = "panoptic network"


@dataclass(frozen=True)
class Prediction:
    """A network applied to some splits of a source.

    `network` is on the device it runs on, in evaluation mode; `weights` is how it was named and `digest` that of its
    files; `name` stands where a recipe's does; `changed` are settings of the network that are not the weights' own. Raises
    `InputError` for an unknown split, a name that names no folder, or a limit below 1.
    """

    network: PanopticNetwork
    weights: str
    digest: str
    source: Source
    splits: tuple[str, ...] = ()
    limit: int | None = None
    with_images: bool = True
    name: str = NAME
    changed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if fault := fault_of_name(self.name):
            raise InputError(f"--name names folders, but {fault}.")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be at least 1, but is {self.limit}.")
        if not self.splits:
            object.__setattr__(self, "splits", self.source.splits())
        for split in self.splits:
            self.frames(split)

    def frames(self, split: str) -> Sequence[Frame]:
        """Frames of a split, `limit` applied. Raises `InputError` for an unknown split."""
        return self.source.frames(split)[: self.limit]

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @cached_property
    def input_digest(self) -> str:
        """Digest over ids and contents of all images."""
        return digest_of({split: [(f.image_id, content_of(f)) for f in self.frames(split)] for split in self.splits})

    @cached_property
    def identity(self) -> str:
        """Digest of everything that decides the rows."""
        return digest_of({"prediction": VERSION, "format": FORMAT_VERSION, "weights": self.digest, "input": self.input_digest,
                          "device": self.device.type, "with_images": self.with_images, "changed": dict(self.changed)})  # fmt: skip

    @cached_property
    def calibration(self) -> Calibration:
        """Classes and things of the network."""
        record, things = self.network.record, self.network.thing_ids
        names = self.network.class_names
        where = "in the labels that the network learned from"
        classes = tuple(
            ClassStatistics(name, k in things, None, None, f"{'a thing' if k in things else 'stuff'} {where}")
            for k, name in enumerate(names)
        )
        named = names == taxonomy.NAMES_19 if record is None else record.learned_from.named
        return Calibration(classes, tuple(range(len(names))) if named else None, 0, self.truth_used)

    @property
    def truth_used(self) -> tuple[str, ...]:
        """Ground truth that went into what the network learned from."""
        return self.network.ground_truth_used

    def recipe(self) -> dict[str, Any]:
        """What stands where the recipe of a built set stands."""
        record, kind = self.network.record, type(self.network).__name__
        learned = "" if record is None else f", which learned from labels of the recipe {record.learned_from.recipe}"
        return {
            "name": self.name,
            "summary": f"predicted by a panoptic network ({kind}){learned}",
            "settings": {
                "network": {"method": kind, "weights": self._place(), **self.changed},
                "depth": {"method": "none"}, "things": {"method": "network"}, "instances": {"method": "network"},
                "output": {"size": "image", "with_images": self.with_images, "with_preview": True,
                           "rows_per_shard": ROWS_PER_FILE},
            },
            "supervision": {_COMPONENT: self.network.supervision},
        }  # fmt: skip

    def _place(self) -> str:
        """How the weights are found again; a path becomes its last part where the document is published."""
        return os.path.abspath(self.weights) if os.path.isdir(self.weights) else self.weights

    def shards(self) -> list[Shard]:
        """The Parquet files of the set."""
        planned = []
        for split in self.splits:
            total = len(self.frames(split))
            count = max(1, math.ceil(total / ROWS_PER_FILE))
            edges = [k * total // count for k in range(count + 1)]
            planned += [Shard(split, k, count, range(edges[k], edges[k + 1])) for k in range(count)]
        return planned


def predict_label_set(
    prediction: Prediction, output: Path, *, workers: int | None = None, overwrite: bool = False, progress: bool = True
) -> BuildResult:
    """Write the label set into `output`, or go on with what is there, and return what was done.

    Raises `RecipeError` if `output` holds another set, and `InputError` if it holds something else (neither with
    `overwrite`) or if not one image could be labelled; `StoreError` if it cannot be written.
    """
    _claim(prediction, output, overwrite)
    store, identity = Store(output / "stages"), prediction.identity
    vouched = vouched_files(output, identity)
    found = {shard: finished_note(store, output, shard, identity, vouched) for shard in prediction.shards()}
    todo = [shard for shard, note in found.items() if note is None or note.failed]
    total, left = (sum(len(shard.indices) for shard in some) for some in (found, todo))
    columns = features(prediction.network.class_names, with_image=prediction.with_images, with_preview=True)
    count = workers or default_workers(prediction.device.type)
    with (
        one_thread(),
        ThreadPoolExecutor(count) as pool,
        ProgressBar("predicting", total, done=total - left, show=progress) as bar,
    ):
        for shard in todo:
            found[shard] = write_shard(
                store, output, shard, _rows(prediction, shard, store, pool, bar), columns, identity
            )
    return _finish(prediction, output, store, [(shard, note) for shard, note in found.items() if note is not None])


def _claim(prediction: Prediction, output: Path, overwrite: bool) -> None:
    """Make `output` the folder of this prediction, or say why it cannot be."""
    note = {**prediction.recipe(), "identity": prediction.identity}
    note["settings"]["network"]["weights"] = prediction.digest
    path = output / "recipe.json"
    try:
        there = read_json(path, most_bytes=1_000_000)
    except (OSError, ValueError):
        there = None
    if not overwrite and there is not None and there != json.loads(json.dumps(note)):
        raise RecipeError(
            f"{output} holds another label set (other weights, images or recipe). Choose another --output, or pass "
            "--overwrite to replace it."
        )
    if not overwrite and there is None and output.is_dir() and any(output.iterdir()):
        raise InputError(f"{output} is not empty and holds no label set; choose an empty folder or pass --overwrite.")
    write_json(path, note)


def _rows(
    prediction: Prediction, shard: Shard, store: Store, pool: ThreadPoolExecutor, bar: ProgressBar
) -> Iterator[dict[str, Any]]:
    """Coded rows of the images that can be labelled; the others are recorded as failures."""
    frames = [prediction.frames(shard.split)[index] for index in shard.indices]

    def row_or_error(frame: Frame) -> dict[str, Any] | Exception:
        return attempt(lambda: predicted_row(prediction, frame))

    for frame, row in zip(frames, pool.map(row_or_error, frames)):
        bar.update()
        if isinstance(row, Exception):
            store.record_failure(
                Failure(frame.image_id, "image" if isinstance(row, InputError) else NAME, why(frame, row))
            )
            continue
        store.clear_failure(frame.image_id)
        yield row


def predicted_row(prediction: Prediction, frame: Frame) -> dict[str, Any]:
    """The coded row of one image. Raises `InputError` if it cannot be read."""
    image = torch.from_numpy(np.ascontiguousarray(frame.image().transpose(2, 0, 1)))
    found = prediction.network.predict(image[None].to(prediction.device).float() / 255)[0]
    calibration, original = prediction.calibration, frame.image_bytes() if prediction.with_images else None
    labelled = labelled_image(frame.image_id, found, original, void=calibration.void)
    palette = calibration.palette()
    row = encode(labelled, len(calibration.classes), palette, with_image=prediction.with_images)
    preview = encode_preview(labelled.panoptic, labelled.segments, labelled.depth, palette)
    return row | {"preview": {"bytes": preview, "path": None}}


def labelled_image(image_id: str, found: PanopticPrediction, image: bytes | None, *, void: int) -> LabelledImage:
    """What a network found in an image as a row's maps and segments, `void` the class map's; depth is unknown."""
    panoptic = found.panoptic
    return LabelledImage(
        image_id=image_id,
        image=image,
        semantic=panoptic.semantic(void),
        depth=np.zeros(panoptic.segment_map.shape, np.float32),
        instance=panoptic.instance(),
        panoptic=panoptic.segment_map,
        segments=[
            {"id": each.id, "category_id": int(each.class_id), "isthing": bool(each.isthing), "area": int(each.area),
             "bbox": [int(value) for value in each.bbox], "score": float(each.score)}
            for each in panoptic.segments
        ],
    )  # fmt: skip


def _finish(
    prediction: Prediction, output: Path, store: Store, notes: Sequence[tuple[Shard, ShardNote]]
) -> BuildResult:
    """Write what belongs to the whole set."""
    files = {shard.path(output).name: note.sha256 for shard, note in notes}
    for stray in sorted((output / "data").glob("*.parquet")):
        if stray.name not in files:
            stray.unlink(missing_ok=True)
    mine = {frame.image_id for split in prediction.splits for frame in prediction.frames(split)}
    failures = tuple(failure for failure in store.failures() if failure.image_id in mine)
    rows = sum(len(note.rows) for _, note in notes)
    if rows == 0:
        raise InputError(f"Not one image could be labelled: {'; '.join(failure.reason for failure in failures[:3])}")
    document = _document(prediction, output, [shard for shard, _ in notes], failures)
    document["digests"]["rows"], document["files"] = rows_digest(notes), files
    write_document(output / "labelset.json", document)
    write_atomically(output / "README.md", card.render(document).encode())
    remove_abandoned(output)
    return BuildResult(output, rows, failures)


def _document(
    prediction: Prediction, output: Path, shards: Iterable[Shard], failures: Sequence[Failure]
) -> dict[str, Any]:
    record, recipe, names = prediction.network.record, prediction.recipe(), prediction.calibration.class_names
    paths: Mapping[str, list[Path]] = {
        split: [shard.path(output) for shard in shards if shard.split == split] for split in prediction.splits
    }
    return {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "identity": prediction.identity,
        "recipe": recipe,
        "source": prediction.source.describe(),
        "splits": list(prediction.splits),
        "limit": prediction.limit,
        "digests": {
            "recipe": digest_of(recipe["settings"]["output"], prediction.digest),
            "input": prediction.input_digest,
            "weights": {"panoptic": prediction.digest},
            "device": prediction.device.type,
            "code": {"package": __version__, "stages": {NAME: VERSION}},
        },
        "supervision": recipe["supervision"],
        "ground_truth_used": list(prediction.truth_used),
        "calibration": prediction.calibration.to_json(),
        "counts": {split: count_segments(files, names) for split, files in paths.items()},
        "depth_clipped": {"images": 0, "pixels": 0},
        "predicted": {
            "weights": prediction.digest,
            "network": type(prediction.network).__name__,
            "learned_from": None if record is None else asdict(record.learned_from),
        },
        **({"left_out": dict(prediction.source.left_out)} if prediction.source.left_out else {}),
        "failures": [asdict(failure) for failure in failures],
    }


def content_of(frame: Frame) -> str:
    """Digest of an image, or "unreadable"."""
    try:
        return frame.digest()
    except InputError:
        return "unreadable"
