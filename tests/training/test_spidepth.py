"""Label-free depth training: it recovers depth from motion, sees nothing but video, and one seed gives one result."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mbps_dataset
from mbps_dataset.errors import RecipeError, StoreError
from mbps_dataset.models.spidepth.pose import TINY_POSE, PoseNetwork
from mbps_dataset.training import spidepth
from mbps_dataset.training.spidepth import (
    SPIdepthTrainingSettings,
    learning_rate_factor,
    motion_difference,
    nearness_of_sky,
    plain_surfaces,
    shrink_factor,
    train_spidepth,
    training_losses,
)
from mbps_dataset.training.triplets import TripletBatch, VideoTriplet


HEIGHT, WIDTH, FOCAL = 32, 64, 32.0
QUICK = SPIdepthTrainingSettings(steps=6, batch_size=2, learning_rate=1e-3, schedule="cosine", warmup_steps=2)


def _wall(shift: float, columns: np.ndarray, seed: int) -> np.ndarray:
    """Smooth stripes and blobs on a wall, seen ``shift`` pixels further along; [H, len(columns)] in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows = np.arange(HEIGHT)[:, None]
    waves = [
        np.sin(rng.uniform(0.3, 0.9) * (columns + shift) + rng.uniform(-0.6, 0.6) * rows + rng.uniform(0, 6))
        for _ in range(6)
    ]
    return 0.5 + 0.5 * np.tanh(np.sum(waves, 0) / 2)


def _sideways_video(seed: int, step: float = 4.0) -> VideoTriplet:
    """Left half: a wall at depth 2; right half: a wall at depth 1; the camera steps right between frames."""
    frames = []
    for time in (-1, 0, 1):
        near, far = (_wall(step * time / depth, np.arange(WIDTH), seed + k) for k, depth in enumerate((1, 2)))
        grey = np.where(np.arange(WIDTH) < WIDTH // 2, far, near)
        frames.append((255 * np.stack([grey, 1 - grey, grey**2], -1)).astype(np.uint8))
    intrinsics = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    return VideoTriplet(*frames, intrinsics)


class _DepthMap(nn.Module):
    """One depth per column block at half resolution, whatever the picture: the simplest depth network."""

    def __init__(self) -> None:
        super().__init__()
        self.log_depth = nn.Parameter(torch.zeros(1, 1, 1, 8))

    def forward(self, image: Tensor) -> Tensor:
        depth = (2 * self.log_depth).exp().repeat_interleave(4, 3)
        return depth.expand(len(image), 1, HEIGHT // 2, WIDTH // 2)


class _Sideways(nn.Module):
    """A camera that only steps right; how far is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(0.05))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        still = torch.zeros(len(frames), 3)
        return still, still + torch.tensor([-1.0, 0.0, 0.0]) * self.speed


class _SmallDepth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 1, 3, 1, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        return 1 + 10 * self.layers(image).sigmoid()


def _networks(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _SmallDepth(), PoseNetwork(replace(TINY_POSE, stem_width=4, widths=(4, 8), depths=(1, 1), hidden=8))


def _trained(settings: SPIdepthTrainingSettings = QUICK, **options: object) -> dict[str, Tensor]:
    depth, pose = _networks()
    videos = [_sideways_video(seed) for seed in (0, 10, 20)]
    train_spidepth(depth, pose, videos, settings, show_progress=False, **options)
    return {f"depth.{k}": v for k, v in depth.state_dict().items()} | {
        f"pose.{k}": v for k, v in pose.state_dict().items()
    }


def _equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_depth_is_recovered_from_motion_alone() -> None:
    depth, pose = _DepthMap(), _Sideways()
    settings = SPIdepthTrainingSettings(
        steps=120, batch_size=2, learning_rate=0.03, schedule="cosine", flip=0.0, jitter=0.0, clip_norm=0.0
    )
    losses = train_spidepth(depth, pose, [_sideways_video(s) for s in (0, 10, 20, 30)], settings, show_progress=False)
    columns = depth(torch.zeros(1, 3, HEIGHT, WIDTH))[0, 0, 0]
    far, near = columns[:12].median().item(), columns[20:].median().item()
    assert far / near == pytest.approx(2.0, rel=0.15)
    assert losses["moving"] > 0.5


def test_aligned_motion_explains_the_frames_and_keeps_the_scale() -> None:
    """The pose network's guess starts at twice the true step.

    Turning and stepping sideways look alike in so narrow a view, so how much farther the far wall is stays vague.
    """
    depth, pose = _DepthMap(), _Sideways()
    with torch.no_grad():
        pose.speed.fill_(0.2)
    settings = SPIdepthTrainingSettings(
        steps=150, batch_size=2, learning_rate=0.03, pose_rate=0.2, schedule="cosine", flip=0.0, jitter=0.0,
        clip_norm=0.0, half_until=0.5, align=True, typical_depth=2.0,
    )  # fmt: skip
    losses = train_spidepth(depth, pose, [_sideways_video(s) for s in (0, 10, 20)], settings, show_progress=False)
    columns = depth(torch.zeros(1, 3, HEIGHT, WIDTH))[0, 0, 0].detach()
    assert columns[:12].median() > 1.3 * columns[20:].median()
    assert columns.log().mean().exp().item() == pytest.approx(2.0, rel=0.1)
    assert losses["photometric"] < 0.05
    assert losses["motion"] < 1.0


def test_the_true_scene_has_a_lower_loss_than_others() -> None:
    class Truth(nn.Module):
        def __init__(self, far: float) -> None:
            super().__init__()
            self.far = far

        def forward(self, image: Tensor) -> Tensor:
            depth = torch.ones(len(image), 1, HEIGHT // 2, WIDTH // 2)
            depth[..., : WIDTH // 4] = self.far
            return depth

    class Step(nn.Module):
        def __init__(self, forward: float, depth_scale: float) -> None:
            super().__init__()
            self.shift = torch.tensor([-forward / depth_scale, 0.0, 0.0])

        def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
            return torch.zeros(len(frames), 3), self.shift.expand(len(frames), 3)

    batch = TripletBatch.of([_sideways_video(0)])
    step = 4.0 / FOCAL

    def loss(far: float, forward: float = step) -> float:
        mean_inverse = 0.5 + 0.5 / far
        with torch.no_grad():
            return float(spidepth.training_losses(Truth(far), Step(forward, mean_inverse), batch)["photometric"])

    assert loss(2.0) < 0.5 * min(loss(1.0), loss(4.0), loss(2.0, -step), loss(2.0, 2 * step))


def test_one_seed_gives_one_result_interrupted_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _trained()
    assert _equal(whole, _trained())
    assert not _equal(whole, _trained(replace(QUICK, seed=1)))

    step, calls = spidepth.training_step, []

    def killed_at_the_fifth(*arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(spidepth, "training_step", killed_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        _trained(checkpoint_path=tmp_path / "run.pt", checkpoint_every=2)
    monkeypatch.setattr(spidepth, "training_step", step)
    assert _equal(whole, _trained(checkpoint_path=tmp_path / "run.pt", checkpoint_every=2))
    with pytest.raises(StoreError, match="learning_rate was 0.001 and is 0.01"):
        _trained(replace(QUICK, learning_rate=0.01), checkpoint_path=tmp_path / "run.pt")


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    _trained(replace(QUICK, steps=1))
    assert torch.equal(torch.rand(2), expected)


def test_nothing_of_the_training_code_can_reach_ground_truth() -> None:
    """Imports, followed through the package, never lead to sources, metrics or calibration."""
    root = Path(mbps_dataset.__file__).parents[1]
    waiting, seen = ["mbps_dataset.training.spidepth", "mbps_dataset.models.spidepth.pose"], set()
    while waiting:
        name = waiting.pop()
        path = root / (name.replace(".", "/") + ".py")
        path = path if path.exists() else root / name.replace(".", "/") / "__init__.py"
        if name in seen or not path.exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names if alias.name.startswith("mbps_dataset")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mbps_dataset"):
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert "mbps_dataset.training.triplets" in seen
    forbidden = ("mbps_dataset.sources", "mbps_dataset.metrics", "mbps_dataset.labelling.calibration")
    assert [name for name in seen if name.startswith(forbidden)] == []


def test_schedules() -> None:
    cosine = SPIdepthTrainingSettings(steps=100, schedule="cosine", warmup_steps=10)
    assert learning_rate_factor(0, cosine) == pytest.approx(0.1)
    assert learning_rate_factor(50, cosine) == pytest.approx(0.5)
    assert learning_rate_factor(100, cosine) == pytest.approx(0.0)
    reference = SPIdepthTrainingSettings(steps=100, decay_steps=40)
    assert [learning_rate_factor(step, reference) for step in (0, 39, 40, 80)] == pytest.approx([1, 1, 0.1, 0.01])


def test_coarse_to_fine() -> None:
    settings = SPIdepthTrainingSettings(steps=100, quarter_until=0.1, half_until=0.4)
    assert [shrink_factor(step, settings) for step in (0, 9, 10, 39, 40, 99)] == [4, 4, 2, 2, 1, 1]
    assert shrink_factor(0, SPIdepthTrainingSettings()) == 1


def test_motion_difference_is_relative_to_the_motion() -> None:
    small, large = torch.eye(4)[None].clone(), torch.eye(4)[None].clone()
    small[:, 2, 3], large[:, 2, 3] = -0.1, -0.2
    assert motion_difference((large, large), (large, large)) == 0
    assert motion_difference((small, small), (large, large)) == pytest.approx(0.5 / 3)


def test_only_plain_surfaces_above_the_principal_point_are_pulled_away() -> None:
    torch.manual_seed(0)
    columns = torch.arange(64).expand(64, 64)
    image = torch.full((1, 3, 64, 64), 0.5) + 0.02 * torch.randn(1, 3, 64, 64)  # noise does not hide a plain surface
    image = torch.where(columns >= 32, (columns // 8 % 2).float(), image)
    assert plain_surfaces(image)[0, :, :20].all() and not plain_surfaces(image)[0, :, 40:].any()
    depth = torch.full((1, 1, 64, 64), 2.0).requires_grad_()
    intrinsics = torch.tensor([[[64.0, 0, 31.5], [0, 64.0, 31.5], [0, 0, 1]]])
    nearness = nearness_of_sky(depth, image, intrinsics)
    (gradient,) = torch.autograd.grad(nearness, depth)
    pulled = gradient[0, 0] < 0
    assert pulled[:32, :20].all() and not pulled[32:].any() and not pulled[:, 40:].any()
    assert nearness.item() == pytest.approx(pulled.float().mean().item())  # every depth is the typical one


def test_a_plain_sky_is_pulled_away_only_on_request() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    batch = TripletBatch.of([replace(_sideways_video(0), previous=grey, current=grey, next=grey)], torch.device("cpu"))
    losses = training_losses(_DepthMap(), _Sideways(), batch)
    pulled = training_losses(_DepthMap(), _Sideways(), batch, sky_weight=0.5)
    assert "sky" not in losses and pulled["sky"].item() == pytest.approx(0.5)  # the upper half, at the typical depth
    assert (pulled["loss"] - pulled["photometric"] - 1e-3 * pulled["smoothness"]).item() == pytest.approx(
        0.25, rel=1e-3
    )


def test_bad_settings_are_named() -> None:
    with pytest.raises(RecipeError, match="flip must be between 0 and 1"):
        SPIdepthTrainingSettings(flip=1.5)
    with pytest.raises(RecipeError, match="schedule must be one of"):
        SPIdepthTrainingSettings(schedule="linear")
