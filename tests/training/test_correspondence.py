from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.training.correspondence import (
    PUBLISHED,
    correlation,
    correspondence_losses,
    depth_similarity,
    draw_positions,
    other_images,
    sample_at,
)
from tests.vectors import load_vectors


CASES = {
    "cityscapes": PUBLISHED,
    "pointwise": replace(PUBLISHED, centred=True),
    "stabilised": replace(PUBLISHED, stabilised=True),
}


@pytest.fixture(scope="module")
def vectors():
    return {name: torch.from_numpy(value) for name, value in load_vectors("cups/depthg_loss").items()}


@pytest.mark.parametrize("case", list(CASES))
def test_terms_and_gradients_are_those_of_the_vector(vectors, case):
    codes, neighbour_codes = (vectors[name].clone().requires_grad_() for name in ("code", "code_pos"))
    found = correspondence_losses(
        vectors["feats"], vectors["feats_pos"], codes, neighbour_codes,
        positions=vectors[f"{case}/coords1"], other_positions=vectors[f"{case}/coords2"],
        others=list(vectors[f"{case}/negative_index"]), depth=vectors["depth"], settings=CASES[case],
    )  # fmt: skip
    for term, name in (
        (found.with_itself, "pos_intra"), (found.with_neighbour, "pos_inter"), (found.with_others, "neg_inter"),
        (found.depth, "depth_term"), (found.total, "total"),
    ):  # fmt: skip
        assert term.item() == pytest.approx(vectors[f"{case}/{name}"].item(), abs=1e-6), name
    found.total.backward()
    np.testing.assert_allclose(codes.grad, vectors[f"{case}/grad_code"], atol=1e-6)
    np.testing.assert_allclose(neighbour_codes.grad, vectors[f"{case}/grad_code_pos"], atol=1e-6)


def test_samples_and_correlations_are_those_of_the_vector(vectors):
    first, second = vectors["cityscapes/coords1"], vectors["cityscapes/coords2"]
    np.testing.assert_allclose(sample_at(vectors["feats"], first), vectors["sampled_feats"], atol=1e-6)
    codes = sample_at(vectors["code"], first)
    np.testing.assert_allclose(codes, vectors["sampled_code"], atol=1e-6)
    found = correlation(codes, sample_at(vectors["code_pos"], second))
    np.testing.assert_allclose(found, vectors["cityscapes/code_corr_pos_inter"], atol=1e-5)
    published = depth_similarity(vectors["depth"], first)
    np.testing.assert_allclose(published, vectors["cityscapes/depth_corr"].float(), atol=1e-3)


def test_other_images_are_those_of_the_vector(vectors):
    begin = 0
    for size in vectors["super_perm/sizes"].tolist():
        permutation = vectors["super_perm/in"][begin : begin + size].long()
        assert other_images(permutation).tolist() == vectors["super_perm/out"][begin : begin + size].tolist()
        begin += size


def test_published_depth_says_only_where_depth_is_known():
    depth = torch.tensor([[[[3.0, 80.0], [0.0, 5.0]]]])
    similar = depth_similarity(depth, torch.zeros(1, 2, 2, 2))
    known = (depth[0, 0] > 0).float()
    torch.testing.assert_close(similar[0], known[:, :, None, None] * known[None, None])


def test_a_real_similarity_falls_with_the_difference_of_inverse_depths():
    depth = torch.tensor([[[[2.0, 4.0, 8.0, 0.0]]]])
    corners = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0])
    positions = torch.stack([corners, torch.zeros(4)], dim=-1)[None, :, None]
    similar = depth_similarity(depth, positions, "similarity")[0, 0, :, 0]
    scaled = torch.tensor([1.0, 0.5, 0.25])
    torch.testing.assert_close(similar[:3, :3], 1 - (scaled[:, None] - scaled[None]).abs())
    assert not similar[3].any() and not similar[:, 3].any()


def test_no_image_is_its_own_other_unless_it_is_alone():
    generator = torch.Generator().manual_seed(0)
    for batch in range(2, 30):
        others = other_images(torch.randperm(batch, generator=generator))
        assert not (others == torch.arange(batch)).any() and others.min() >= 0 and others.max() < batch
    assert other_images(torch.tensor([0])).tolist() == [0]


def test_positions_are_drawn_from_the_generator():
    first, again = (draw_positions(2, 11, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (2, 11, 11, 2) and -1 <= first.min() < first.max() <= 1


def test_without_depth_there_is_no_depth_term(vectors):
    given = {
        "positions": vectors["cityscapes/coords1"],
        "other_positions": vectors["cityscapes/coords2"],
        "others": list(vectors["cityscapes/negative_index"]),
    }
    maps = (vectors["feats"], vectors["feats_pos"], vectors["code"], vectors["code_pos"])
    without, with_depth = (correspondence_losses(*maps, depth=depth, **given) for depth in (None, vectors["depth"]))
    assert without.depth is None
    torch.testing.assert_close(without.total, with_depth.total - 0.09 * with_depth.depth)
