from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mbps_dataset.errors import InputError
from mbps_dataset.metrics import overlap
from mbps_dataset.metrics.overlap import OverlapTable, concatenate, overlap_table, unique_rows, unique_values
from tests.examples import examples


def maps_of_one_size(count: int, high: int = 6):
    return hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9).flatmap(
        lambda shape: st.tuples(
            *(hnp.arrays(st.sampled_from((np.uint8, np.int32, np.int64)), shape, elements=st.integers(0, high)) for _ in range(count))
        )
    )  # fmt: skip


@examples(60)
@given(maps_of_one_size(5))
def test_counts_every_pixel_once_and_in_the_right_pair(maps) -> None:
    pred_semantic, pred_instance, true_semantic, true_instance, crowd = maps
    table = overlap_table(pred_semantic, pred_instance, true_semantic, true_instance, true_crowd=crowd)
    counted = {}
    for true_row, pred_row, pixels in table.pairs.tolist():
        key = (*table.true_segments[true_row, 1:].tolist(), *table.pred_segments[pred_row, 1:].tolist())
        assert key not in counted and pixels > 0
        counted[key] = pixels
    expected: dict[tuple[int, ...], int] = {}
    for pixel in zip(
        *(m.ravel().tolist() for m in (true_semantic, true_instance, crowd, pred_semantic, pred_instance))
    ):
        expected[pixel] = expected.get(pixel, 0) + 1
    assert counted == expected


def test_blocks_of_pixels_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 3, (13, 17)).repeat(3, axis=1) for _ in range(4)]
    whole = overlap_table(*maps)
    monkeypatch.setattr(overlap, "_BLOCK_PX", 7)
    for ours, theirs in zip(overlap_table(*maps).to_arrays().values(), whole.to_arrays().values()):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("high", [5, 1 << 22, 1 << 40])
def test_unique_values_equals_numpy_for_small_and_large_ranges(high: int) -> None:
    values = np.random.default_rng(1).integers(0, high, 1000)
    for ours, theirs in zip(unique_values(values), np.unique(values, return_inverse=True)):
        assert np.array_equal(ours, theirs)


def test_more_id_combinations_than_one_key_can_number(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [np.random.default_rng(seed).integers(0, 9, (20, 30)) for seed in range(5)]
    plain = overlap_table(*maps[:4], true_crowd=maps[4]).to_arrays()
    monkeypatch.setattr(overlap, "_LARGEST_KEY", 10)
    by_sorting = overlap_table(*maps[:4], true_crowd=maps[4]).to_arrays()
    assert all(np.array_equal(plain[name], by_sorting[name]) for name in plain)


def test_unique_rows_sorts_and_points_back() -> None:
    columns = [np.array([2, 1, 2, 1]), np.array([0, 5, 0, 4])]
    rows, inverse = unique_rows(columns)
    assert rows.tolist() == [[1, 4], [1, 5], [2, 0]]
    assert np.array_equal(rows[inverse], np.column_stack(columns))


def test_concatenate_keeps_images_apart() -> None:
    one = overlap_table([[0, 1]], None, [[0, 0]], None)
    both = concatenate([one, one])
    assert both.images == 2 and both.true_segments[:, 0].tolist() == [0, 1]
    assert both.pairs.tolist() == [[0, 0, 1], [0, 1, 1], [1, 2, 1], [1, 3, 1]]
    assert concatenate([]).images == 0


def test_bytes_bring_the_table_back() -> None:
    table = overlap_table([[0, 1]], [[0, 70_000]], [[3, 0]], None)
    again = OverlapTable.from_bytes(table.to_bytes())
    assert again.images == 1
    for ours, theirs in zip(again.to_arrays().values(), table.to_arrays().values()):
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)


def test_takes_tensors_transposed_views_and_bool() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    maps = [rng.integers(0, 4, (6, 8)) for _ in range(4)]
    plain = overlap_table(*maps).to_arrays()
    tensors = overlap_table(*map(torch.from_numpy, maps)).to_arrays()
    turned = overlap_table(*(np.asfortranarray(m) for m in maps)).to_arrays()
    for name in plain:
        assert np.array_equal(plain[name], tensors[name]) and np.array_equal(plain[name], turned[name])
    assert overlap_table(maps[0] > 1, None, maps[0] > 1, None).true_segments[:, 1].tolist() == [0, 1]


def test_errors_name_image_and_map() -> None:
    good = np.zeros((2, 3), int)
    with pytest.raises(InputError, match=r"kitchen: expected `pred_instance` and `true_semantic` to share \(H, W\)"):
        overlap_table(good, np.zeros((3, 2), int), good, None, image="kitchen")
    with pytest.raises(InputError, match="kitchen: expected `pred_semantic` to hold integers, but got float32"):
        overlap_table(good.astype(np.float32), None, good, None, image="kitchen")
    with pytest.raises(InputError, match="kitchen: `true_semantic` holds the negative id -7"):
        overlap_table(good, None, good - 7, None, image="kitchen")
    with pytest.raises(
        InputError, match=r"kitchen: expected `true_crowd` to be a map \[H, W\], but got shape \(1, 2, 3\)"
    ):
        overlap_table(good, None, good, None, true_crowd=good[None], image="kitchen")
