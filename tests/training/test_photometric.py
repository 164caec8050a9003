"""Photometric losses: golden numbers of the reference, and geometry that can be checked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mbps_dataset.training.photometric import (
    backproject,
    edge_aware_smoothness,
    minimum_reprojection,
    photometric_error,
    project,
    rigid_transform,
    rotation_matrix,
    scale_translation,
    structural_dissimilarity,
    view_synthesis,
    warp,
)
from tests.examples import examples
from tests.vectors import load_vectors


TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in load_vectors("spidepth_losses").items()}


def _transforms(golden: dict[str, Tensor], depth: Tensor) -> tuple[Tensor, Tensor]:
    axis_angle = golden["axisangle"][:, 0, 0]
    translation = scale_translation(golden["translation"][:, 0, 0], depth)
    return rigid_transform(axis_angle, translation, invert=True), rigid_transform(axis_angle, translation)


def test_dissimilarity_and_error_match_the_reference_vectors(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(
        structural_dissimilarity(golden["source"], golden["target"]), golden["ssim"], **TOLERANCE
    )
    torch.testing.assert_close(
        photometric_error(golden["source"], golden["target"]), golden["reproj_identity"], **TOLERANCE
    )


def test_transforms_match_the_reference_vectors(golden: dict[str, Tensor]) -> None:
    axis_angle, translation = golden["axisangle"][:, 0, 0], golden["translation"][:, 0, 0]
    torch.testing.assert_close(rigid_transform(axis_angle, translation), golden["T_next_noscale"], **TOLERANCE)
    torch.testing.assert_close(
        rigid_transform(axis_angle, translation, invert=True), golden["T_prev_noscale"], **TOLERANCE
    )
    to_previous, to_next = _transforms(golden, golden["depth"])
    torch.testing.assert_close(to_previous, golden["T_prev"], **TOLERANCE)
    torch.testing.assert_close(to_next, golden["T_next"], **TOLERANCE)


def test_projection_and_warping_match_the_reference_vectors(golden: dict[str, Tensor]) -> None:
    depth, intrinsics = golden["depth"], golden["K"]
    to_previous, to_next = _transforms(golden, depth)
    grid = project(backproject(depth, golden["inv_K"]), intrinsics, to_next, (24, 40))
    torch.testing.assert_close(grid, golden["pix_coords_next"], **TOLERANCE)
    torch.testing.assert_close(warp(golden["source"], grid), golden["warped_next"], **TOLERANCE)
    warped = view_synthesis(golden["source"], depth, intrinsics, to_previous)
    torch.testing.assert_close(warped, golden["warped_prev"], **TOLERANCE)


def test_total_loss_and_its_gradient_match_the_reference_vectors(golden: dict[str, Tensor]) -> None:
    depth = golden["depth"].clone().requires_grad_()
    target, source = golden["target"], golden["source"]
    errors = [
        photometric_error(view_synthesis(source, depth, golden["K"], transform), target)
        for transform in _transforms(golden, depth)
    ]
    torch.testing.assert_close(torch.cat(errors, 1), golden["reproj_prev_next"], **TOLERANCE)
    identity = photometric_error(source, target)
    smallest, winner = minimum_reprojection(errors, [identity, identity])
    two_smallest = torch.cat([identity, identity, *errors], 1).unique(dim=1).sort(dim=1).values[:, :2]
    tied = (two_smallest[:, 1] - two_smallest[:, 0]) < TOLERANCE["atol"]  # within rounding either may win
    assert torch.equal(winner.int()[~tied], golden["min_index"][~tied]) and tied.float().mean() < 0.01
    smoothness = edge_aware_smoothness(depth, target)
    torch.testing.assert_close(smoothness, golden["smooth"], **TOLERANCE)
    loss = smallest.mean() + 1e-3 * smoothness
    torch.testing.assert_close(loss, golden["loss_no_tiebreak_noise"], **TOLERANCE)
    loss.backward()
    torch.testing.assert_close(depth.grad, golden["grad_depth"], rtol=0, atol=1e-6)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3))
@examples(25)
def test_rotations_are_rotations(vector: list[float]) -> None:
    rotation = rotation_matrix(torch.tensor([vector], dtype=torch.float64))[0]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)
    angle = math.sqrt(sum(x * x for x in vector))
    assert rotation.trace().item() == pytest.approx(1 + 2 * math.cos(angle), abs=1e-6)


def test_rotation_is_differentiable_when_the_camera_stands_still() -> None:
    axis_angle = torch.zeros(1, 3, requires_grad=True)
    rotation = rotation_matrix(axis_angle)
    torch.testing.assert_close(rotation[0], torch.eye(3))
    rotation[0, 1, 0].backward()
    torch.testing.assert_close(axis_angle.grad, torch.tensor([[0.0, 0.0, 1.0]]))


@given(st.integers(0, 1000))
@examples(10)
def test_inverse_transform_undoes_the_transform(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    axis_angle, translation = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    product = rigid_transform(axis_angle, translation, invert=True) @ rigid_transform(axis_angle, translation)
    torch.testing.assert_close(product, torch.eye(4, dtype=torch.float64).expand(4, 4, 4), rtol=0, atol=1e-9)


def test_a_sideways_step_moves_near_pixels_further() -> None:
    """Focal length 10 px, step 0.2: a wall at depth 1 moves by 2 px, one at depth 2 by 1 px."""
    intrinsics = torch.tensor([[[10.0, 0, 7.5], [0, 10.0, 4.5], [0, 0, 1]]])
    transform = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.2, 0.0, 0.0]]))
    source = torch.arange(16.0).expand(1, 1, 10, 16)
    for distance, shift in ((1.0, 2.0), (2.0, 1.0)):
        seen = view_synthesis(source, torch.full((1, 1, 10, 16), distance), intrinsics, transform)
        torch.testing.assert_close(seen[..., :12], source[..., :12] + shift, rtol=0, atol=1e-4)


def test_error_of_a_picture_with_itself_is_zero_and_symmetric_otherwise() -> None:
    first, second = torch.rand(2, 1, 3, 12, 16, generator=torch.Generator().manual_seed(1))
    assert photometric_error(first, first).abs().max() < 1e-6
    torch.testing.assert_close(photometric_error(first, second), photometric_error(second, first))


def test_standing_pixels_are_switched_off_and_ties_are_broken() -> None:
    warped, identity = torch.full((1, 1, 2, 2), 0.5), torch.tensor([[[[0.1, 0.5], [0.9, 0.5]]]])
    smallest, winner = minimum_reprojection([warped], [identity])
    assert winner.tolist() == [[[0, 0], [1, 0]]]
    torch.testing.assert_close(smallest, torch.tensor([[[0.1, 0.5], [0.5, 0.5]]]))
    _, winner = minimum_reprojection([warped], [identity], tie_break=torch.full((1, 1, 2, 2), 1e-5))
    assert winner.tolist() == [[[0, 1], [1, 1]]]
    assert minimum_reprojection([warped])[1].max() == 0


def test_smoothness_ignores_scale_and_forgives_edges_of_the_picture() -> None:
    depth = torch.ones(1, 1, 8, 8)
    depth[..., 4:] = 3.0
    flat, edge = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1.0
    assert edge_aware_smoothness(depth, edge) < 0.5 * edge_aware_smoothness(depth, flat)
    torch.testing.assert_close(edge_aware_smoothness(7 * depth, flat), edge_aware_smoothness(depth, flat))
    assert edge_aware_smoothness(torch.ones(1, 1, 8, 8), flat) == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="share a shape.*resize one of them"):
        photometric_error(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
    with pytest.raises(ValueError, match="more than 3 x 3 pixels.*use larger frames"):
        photometric_error(torch.zeros(1, 3, 3, 8), torch.zeros(1, 3, 3, 8))
    with pytest.raises(ValueError, match="at least one warped neighbour"):
        minimum_reprojection([])
