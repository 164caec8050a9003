"""Panoptic quality with Hungarian matching as an `evaluate` metric: a thin shim over `mbps_dataset.metrics`.

Every image becomes an overlap table when it is added, and only the table is kept, so memory stays flat and settings are
chosen when computing, not when adding. `evaluate.load` takes the path of this file, which
`mbps_dataset.metrics.evaluate_module` gives, or in a checkout the folder ``eval/hungarian_pq``, which imports it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import datasets
import evaluate
import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.formats.image_segmentation import as_labels
from mbps_dataset.metrics import REPORT_HW, OverlapTable, PanopticQuality, overlap_table
from mbps_dataset.resizing import resize_nearest


_DESCRIPTION = """
Panoptic quality (PQ, SQ, RQ), mIoU and accuracy for predictions whose classes are known, or are clusters that are first
matched to classes (Hungarian, with or without a thing/stuff split, or majority vote). The void rule and the averages
are named conventions: "coco" equals panopticapi, cityscapesScripts and detectron2, "cups" equals torchmetrics and CUPS,
"report" equals the evaluator of the monocular pseudo-label report.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: one segmentation per image, each one of
        - a dict of transformers' `post_process_panoptic_segmentation` ("segmentation" and "segments_info"),
        - a row with "panoptic" and "segments_info", or with "semantic" and "instance",
        - (semantic, instance), or a semantic map alone: numpy, tensor, PIL image or path.
    references: ground truth, in any of these forms.
    image_ids (optional): a name per image, used in errors; the same name twice is an error.
    things, stuff (compute): class ids of the ground truth; default: the 19 Cityscapes classes.
    Any other argument of `mbps_dataset.metrics.PanopticQuality` (compute): convention, matching, pseudo_things,
        pseudo_stuff, drop_zero_overlap, pred_void, crowds, averaged; bootstrap for confidence intervals; merge_stuff,
        which is False by default with convention "coco" and matching "none": segments of stuff that are listed in
        `segments_info` count one by one then, as for panopticapi.
Returns:
    A dict with pq, sq, rq (and _things, _stuff), sq_matched, sq_pooled, rq_pooled, miou, accuracy, miou_penalised,
    accuracy_penalised, predicted_void_share, per_class, assignment, undetermined, convention, matching: fractions, and
    None where nothing is defined.
Examples:
    >>> import evaluate, mbps_dataset.metrics
    >>> metric = evaluate.load(mbps_dataset.metrics.evaluate_module())
    >>> truth = {"semantic": [[0, 0], [13, 13]], "instance": [[0, 0], [1, 1]]}
    >>> metric.compute(predictions=[truth], references=[truth])["pq"]
    1.0
"""

_CITATION = """
@inproceedings{kirillov2019panoptic,
  title = {Panoptic Segmentation},
  author = {Kirillov, Alexander and He, Kaiming and Girshick, Ross and Rother, Carsten and Dollar, Piotr},
  booktitle = {CVPR},
  year = {2019}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class HungarianPQ(evaluate.Metric):
    """What `evaluate.load` returns; the config "report" resizes all maps to 512 x 1024 when they are added."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("binary"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(features),
            reference_urls=["https://arxiv.org/abs/1801.00868"],
        )

    def add(self, *, prediction: Any = None, reference: Any = None, image_id: Any = None, **kwargs: Any) -> None:
        """Add one image."""
        self.add_batch(
            predictions=[prediction],
            references=[reference],
            image_ids=None if image_id is None else [image_id],
            **kwargs,
        )

    def add_batch(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[Any],
        image_ids: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add images; each is reduced to its overlap table at once. Raises `ValueError` if the numbers differ."""
        if len(predictions) != len(references):
            raise ValueError(f"Got {len(predictions)} predictions but {len(references)} references.")
        names = [_name(p, r) for p, r in zip(predictions, references)] if image_ids is None else map(str, image_ids)
        names = list(names)
        tables = [self._table(*pair) for pair in zip(predictions, references, names)]
        super().add_batch(predictions=tables, references=names, **kwargs)

    def compute(
        self, *, predictions: Sequence[Any] | None = None, references: Sequence[Any] | None = None, **kwargs: Any
    ) -> dict[str, Any] | None:
        """Score all images added so far, and those given."""
        if predictions is not None:
            batch = {"image_ids": kwargs.pop("image_ids")} if "image_ids" in kwargs else {}
            self.add_batch(predictions=predictions, references=references or (), **batch)
        if self.config_name == "report":
            kwargs = {"convention": "report", **kwargs}
        return super().compute(**kwargs)

    def _table(self, prediction: Any, reference: Any, name: str) -> bytes:
        reference = as_labels(reference, name)
        prediction = as_labels(prediction, name, size_hw=reference.semantic.shape)
        listed = bytes([prediction.listed, reference.listed])
        maps = [prediction.semantic, prediction.instance, reference.semantic, reference.instance, reference.crowd]
        if self.config_name == "report":
            maps = [None if labels is None else resize_nearest(labels, *REPORT_HW) for labels in maps]
        return listed + overlap_table(*maps[:4], true_crowd=maps[4], image=f"image {name!r}").to_bytes()

    def _compute(
        self,
        *,
        predictions: Sequence[bytes],
        references: Sequence[str],
        bootstrap: int = 0,
        confidence: float = 0.95,
        **settings: Any,
    ) -> dict[str, Any]:
        settings = {"things": taxonomy.THINGS_19, "stuff": taxonomy.STUFF_19, **settings}
        if settings.get("convention") == "report" and self.config_name != "report":
            raise ValueError("Convention 'report' resizes before counting: load the metric with config_name='report'.")
        as_they_are = settings.get("convention", "coco") == "coco" and settings.get("matching", "none") == "none"
        metric = PanopticQuality(**{"merge_stuff": not as_they_are, **settings})
        for data, name in zip(predictions, references):
            table = OverlapTable.from_bytes(data[2:])
            if as_they_are:
                table = _with_ids_of_segments(table, data[0], data[1], metric.settings.things)
            metric.update_table(table, image_id=name or None)
        return metric.compute(bootstrap=bootstrap, confidence=confidence).to_dict()


def _with_ids_of_segments(
    table: OverlapTable, pred_listed: int, true_listed: int, things: Collection[int]
) -> OverlapTable:
    """Without instance ids beside things on a side where they were not listed: in a pair of maps they mean nothing."""
    sides = {"pred_segments": table.pred_segments.copy(), "true_segments": table.true_segments.copy()}
    for segments, listed in zip(sides.values(), (pred_listed, true_listed)):
        if not listed:
            segments[~np.isin(segments[:, 1], list(things)), 2] = 0
    return replace(table, **sides)


def _name(prediction: Any, reference: Any) -> str:
    """The image id that either side carries, or nothing."""
    for labels in (prediction, reference):
        if isinstance(labels, dict) and labels.get("image_id") is not None:
            return str(labels["image_id"])
    return ""
