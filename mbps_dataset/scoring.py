"""Scoring a built label set against the ground truth of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mbps_dataset import taxonomy
from mbps_dataset.built import BuiltLabelSet
from mbps_dataset.errors import InputError
from mbps_dataset.metrics import PanopticQuality, PanopticResult
from mbps_dataset.records import DecodedRow
from mbps_dataset.sources import Frame, Truth
from mbps_dataset.stages.resizing import resize_nearest


@dataclass(frozen=True)
class Score:
    """A metric result with what it was taken on."""

    result: PanopticResult
    images: int
    splits: tuple[str, ...]
    skipped: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON."""
        return {"images": self.images, "splits": list(self.splits), "skipped": self.skipped, **self.result.to_dict()}

    def table(self) -> str:
        """The result as text for a terminal, in percent."""
        result = self.result
        lines = [
            f"{self.images} images ({', '.join(self.splits)}), 19 classes; convention {result.convention}, "
            f"matching {result.matching}",
            "",
            f"{'':10}{'PQ':>8}{'SQ':>8}{'RQ':>8}",
        ]
        for title, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
            values = (getattr(result, key + suffix) for key in ("pq", "sq", "rq"))
            lines.append(f"{title:10}" + "".join(_percent(value) for value in values))
        lines += ["", f"mIoU {_percent(result.miou).strip()}   pixel accuracy {_percent(result.accuracy).strip()}   "
                  f"predicted void {_percent(result.predicted_void_share).strip()} (percent)", ""]  # fmt: skip
        lines.append(f"{'class':16}{'PQ':>8}{'SQ':>8}{'RQ':>8}{'TP':>7}{'FP':>7}{'FN':>7}")
        for class_id, counts in result.per_class.items():
            name = taxonomy.NAMES_19[class_id]
            numbers = "".join(_percent(counts[key]) for key in ("pq", "sq", "rq"))
            lines.append(f"{name:16}{numbers}{counts['tp']:7}{counts['fp']:7}{counts['fn']:7}")
        return "\n".join(lines)


def _percent(value: float) -> str:
    return f"{'–':>8}" if value is None or np.isnan(value) else f"{100 * value:8.2f}"


def score(
    built: BuiltLabelSet,
    *,
    splits: Sequence[str],
    convention: str = "coco",
    matching: str | None = None,
    progress: bool = False,
) -> Score:
    """Panoptic quality over the 19 Cityscapes classes of every row that has ground truth.

    `matching` None means "hungarian" for unnamed pseudo-classes and "none" for named classes. Raises `InputError` if no
    row has ground truth; rows whose truth cannot be used are listed in `skipped`.
    """
    calibration = built.calibration
    named = calibration.cluster_to_class is not None
    metric = PanopticQuality(
        taxonomy.THINGS_19,
        taxonomy.STUFF_19,
        pseudo_things=None if named else calibration.things,
        pseudo_stuff=None
        if named
        else tuple(k for k in range(len(calibration.classes)) if k not in calibration.things),
        convention=convention,
        matching=matching or ("none" if named else "hungarian"),
        pred_void=calibration.void,
    )
    source, skipped = built.open_source(), []
    for split in splits:
        frames = {frame.image_id: frame for frame in source.frames(split)} if source.has_truth else {}
        bar = tqdm(built.rows(split), total=built.row_count(split), desc=f"{'scoring':>16} ({split})", unit="img",
                   disable=not progress)  # fmt: skip
        for row in bar:
            try:
                truth = _usable_truth(frames.get(row.image_id), row)
            except InputError as error:
                skipped.append(str(error))
                continue
            if truth is not None:
                _update(metric, row, truth, calibration.void, f"{split}/{row.image_id}")
    if not len(metric):
        raise InputError(
            f"{built.root}: no row of {', '.join(splits)} has ground truth to score against; "
            "labelling does not need it, scoring does (gtFine of Cityscapes, or --truth-dir for a folder)."
        )
    return Score(metric.compute(), len(metric), tuple(splits), skipped)


def _usable_truth(frame: Frame | None, row: DecodedRow) -> Truth | None:
    if frame is None:
        raise InputError(f"{row.image_id}: not in the source any more; not scored.")
    return frame.truth()


def _update(metric: PanopticQuality, row: DecodedRow, truth: Truth, void: int, image_id: str) -> None:
    shape = truth.label_ids.shape
    true_semantic = taxonomy.LABEL_ID_TO_TRAIN_ID[truth.label_ids]
    is_thing = np.isin(true_semantic, taxonomy.THINGS_19)
    is_instance = truth.instance_ids >= 1000
    metric.update(
        resize_nearest(_panoptic_semantic(row, void), *shape),
        resize_nearest(row.instance.astype(np.int32), *shape),
        true_semantic,
        np.where(is_instance, truth.instance_ids, 0).astype(np.int32),
        true_crowd=_crowd_regions(true_semantic, is_thing & ~is_instance),
        image_id=image_id,
    )


def _panoptic_semantic(row: DecodedRow, void: int) -> NDArray[np.int32]:
    """Class per pixel as the panoptic map has it: what fusion dropped is void here, though not in `semantic`."""
    table = np.full(int(row.panoptic.max(initial=0)) + 1, void, dtype=np.int32)
    for segment in row.segments:
        table[segment["id"]] = segment["category_id"]
    return table[row.panoptic]


def _crowd_regions(true_semantic: NDArray[np.uint8], crowd: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Cityscapes' groups: one crowd region per thing class, numbered class + 1; 0 elsewhere."""
    return np.where(crowd, true_semantic.astype(np.int32) + 1, 0)
