"""What the report page counts."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.records import DecodedRow
from mbps_dataset.report.statistics import SplitStatistics


def row(depth: np.ndarray, semantic: np.ndarray | None = None, instances: int = 0) -> DecodedRow:
    semantic = np.zeros(depth.shape, np.uint8) if semantic is None else semantic
    instance = np.zeros(depth.shape, np.uint16)
    instance.flat[: instances + 1] = range(instances + 1)
    return DecodedRow("x", None, semantic, depth.astype(np.float32), instance, instance, [])


def test_pixels_instances_and_depth_are_those_of_the_rows(built):
    statistics = SplitStatistics(len(built.calibration.classes))
    rows = list(built.rows("train"))
    for entry in rows:
        statistics.add(entry)
    assert statistics.pixels.sum() + statistics.void_px == statistics.total_px == sum(r.semantic.size for r in rows)
    assert statistics.instances == [int(r.instance.max()) for r in rows]
    assert statistics.segments == sum(len(r.segments) for r in rows)
    assert statistics.depth.sum() == sum(int((r.depth > 0).sum()) for r in rows)


def test_void_is_no_class():
    statistics = SplitStatistics(3)
    statistics.add(row(np.ones((1, 4)), np.array([[0, 2, 255, 255]], np.uint8)))
    assert statistics.pixels.tolist() == [1, 0, 1] and statistics.void_px == 2


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_depth_of_any_scale_fills_the_histogram(scale):
    statistics = SplitStatistics(1)
    statistics.add(row(np.geomspace(1, 80, 10_000).reshape(100, 100) * scale))
    histogram = statistics.depth_histogram()
    assert 8 <= len(histogram.counts) <= 14 and len(set(histogram.labels)) == len(histogram.labels)
    assert sum(histogram.counts) >= 9_900 and min(histogram.counts[1:-1]) > 500
    assert histogram.note.startswith("Every pixel has a depth")


def test_unknown_depth_is_said():
    statistics = SplitStatistics(1)
    statistics.add(row(np.array([[0.0, 0.0, 5.0, 5.0]])))
    histogram = statistics.depth_histogram()
    assert histogram.note.startswith("50.0% of the pixels have no depth") and sum(histogram.counts) == 2
    nothing = SplitStatistics(1)
    nothing.add(row(np.zeros((2, 2))))
    assert nothing.depth_histogram().counts == []


@pytest.mark.parametrize(
    ("instances", "labels", "counts"),
    [([0, 1, 1, 3], ["0", "1", "2", "3"], [1, 2, 0, 1]), ([2, 2], ["2"], [2]),
     ([30, 59], ["30–34", "35–39", "40–44", "45–49", "50–54", "55–59"], [1, 0, 0, 0, 0, 1])],
)  # fmt: skip
def test_bars_of_instances_have_equal_width_and_miss_none(instances, labels, counts):
    statistics = SplitStatistics(1)
    for number in instances:
        statistics.add(row(np.ones((8, 8)), instances=number))
    histogram = statistics.instance_histogram()
    assert histogram.labels == labels and histogram.counts == counts
    assert histogram.note == f"Median {np.median(instances):g}, {sum(instances)} in all."
