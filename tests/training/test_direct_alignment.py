"""Direct alignment finds the motion between two pictures of a known surface, and leaves it alone where it cannot."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mbps_dataset.training.direct_alignment import refine_motion
from mbps_dataset.training.photometric import rigid_transform, view_synthesis


HEIGHT, WIDTH = 48, 96
INTRINSICS = torch.tensor([[[80.0, 0, (WIDTH - 1) / 2], [0, 80.0, (HEIGHT - 1) / 2], [0, 0, 1]]])
LEVELS = ((2, 6), (1, 4))


def _texture(seed: int) -> Tensor:
    noise = torch.rand(1, 3, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)


def _street() -> Tensor:
    """A ground plane below, a slanted wall above: depth [1, 1, H, W]."""
    row = torch.arange(HEIGHT)[:, None].float().expand(HEIGHT, WIDTH)
    ground = 80 * 1.5 / (row - 20).clamp(min=2)
    wall = 12 + 0.08 * torch.arange(WIDTH).float().expand(HEIGHT, WIDTH)
    return torch.minimum(ground, wall)[None, None]


def _seen(neighbour: Tensor, truth: Tensor, depth: Tensor) -> Tensor:
    """The current picture, given the neighbour's and where each point lands in it."""
    return view_synthesis(neighbour, depth, INTRINSICS, truth)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_finds_the_motion_of_a_driving_camera(seed: int) -> None:
    truth = rigid_transform(torch.tensor([[0.004, -0.01, 0.002]]), torch.tensor([[0.05, 0.02, -0.9]]))
    guess = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.5]]))
    depth, neighbour = _street(), _texture(seed)
    found = refine_motion(_seen(neighbour, truth, depth), neighbour, depth, INTRINSICS, guess, levels=LEVELS)
    assert (found - truth)[0, :3, 3].norm() < 0.15 * (guess - truth)[0, :3, 3].norm()
    assert (found - truth)[0, :3, :3].abs().max() < 0.002


def test_scale_of_depth_is_scale_of_motion() -> None:
    truth = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.8]]))
    depth, neighbour = _street(), _texture(3)
    guess = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.06]]))
    current = _seen(neighbour, truth, depth)
    found = refine_motion(current, neighbour, 0.1 * depth, INTRINSICS, guess, levels=LEVELS)
    assert found[0, 2, 3].item() == pytest.approx(-0.08, rel=0.1)


def test_forward_only_neither_turns_nor_steps_aside() -> None:
    truth = rigid_transform(torch.tensor([[0.0, 0.01, 0.0]]), torch.tensor([[0.1, 0.0, -0.9]]))
    guess = rigid_transform(torch.tensor([[0.02, 0.0, 0.01]]), torch.tensor([[0.05, 0.03, -0.6]]))
    depth, neighbour = _street(), _texture(4)
    current = _seen(neighbour, truth, depth)
    found = refine_motion(current, neighbour, depth, INTRINSICS, guess, levels=LEVELS, forward_only=True)
    torch.testing.assert_close(found[:, :3, :3], torch.eye(3)[None])
    assert found[0, :2, 3].abs().max() == 0
    assert -1.0 < found[0, 2, 3] < -0.65


def test_moving_objects_count_little() -> None:
    truth = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.9]]))
    guess = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.6]]))
    depth, neighbour = _street(), _texture(5)
    current = _seen(neighbour, truth, depth)
    current[..., 10:26, 20:40] = 1 - current[..., 10:26, 20:40]
    found = refine_motion(current, neighbour, depth, INTRINSICS, guess, levels=LEVELS)
    assert found[0, 2, 3].item() == pytest.approx(-0.9, rel=0.1)


def test_the_guess_stays_where_pictures_say_nothing() -> None:
    guess = rigid_transform(torch.tensor([[0.0, 0.01, 0.0]]), torch.tensor([[0.0, 0.0, -0.6]]))
    flat = torch.full((1, 3, HEIGHT, WIDTH), 0.5)
    assert torch.equal(refine_motion(flat, flat, _street(), INTRINSICS, guess), guess)
    bad = torch.full((1, 3, HEIGHT, WIDTH), math.nan)
    assert torch.equal(refine_motion(bad, flat, _street(), INTRINSICS, guess), guess)


def test_no_gradient_flows() -> None:
    depth = _street().requires_grad_()
    guess = rigid_transform(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -0.6]]))
    assert not refine_motion(_texture(6), _texture(7), depth, INTRINSICS, guess).requires_grad
