"""The training script keeps frames and intrinsics of a rendered view, and does not even look at the rest."""

from __future__ import annotations

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mbps_dataset.models.spidepth import SPIdepth
from mbps_dataset.scenes import Intrinsics


SCRIPT = Path(__file__).parents[2] / "builder_scripts" / "train_demo_depth.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_demo_depth", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class _Poisoned:
    """A rendered view whose truth cannot be touched."""

    def __init__(self, value: int) -> None:
        self.image: NDArray[np.uint8] = np.full((256, 512, 3), value, np.uint8)
        self.intrinsics = Intrinsics(560.0, 560.0, 255.5, 127.5)

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"training looked at `{name}`")


def test_truth_is_not_looked_at(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "render_triplet", lambda seed, settings: [_Poisoned(k + seed) for k in (1, 2, 3)])
    video = script.RenderedVideo(tmp_path, 2, 128, 256)
    triplet = video[1]
    assert [int(frame.mean()) for frame in (triplet.previous, triplet.current, triplet.next)] == [2, 3, 4]
    assert triplet.current.shape == (128, 256, 3)
    np.testing.assert_allclose(triplet.intrinsics, [[280, 0, 127.5], [0, 280, 63.5], [0, 0, 1]])
    assert len(video[:]) == 2
    with np.load(next(tmp_path.glob("*.npz"))) as stored:
        assert sorted(stored.files) == ["frames", "intrinsics"]


def test_frames_are_rendered_once(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "render_triplet", lambda seed, settings: [_Poisoned(9)] * 3)
    first = script.RenderedVideo(tmp_path, 1, 128, 256)[0]
    monkeypatch.delattr(script, "render_triplet")
    assert np.array_equal(script.RenderedVideo(tmp_path, 1, 128, 256)[0].current, first.current)


def test_new_networks_start_sensibly_and_from_the_seed(script: ModuleType) -> None:
    depth, pose = script.new_network(3)
    depth.eval(), pose.eval()
    with torch.no_grad():
        image = torch.rand(1, 3, script.NETWORK.height, script.NETWORK.width)
        median = depth(image).median().item()
        translation = pose(torch.cat([image, image], 1))[1]
    assert 0.5 * script.START_DEPTH < median < 2 * script.START_DEPTH
    assert translation[0, 2].item() == pytest.approx(-script.FORWARD, rel=0.5)
    again, _ = script.new_network(3)
    assert all(torch.equal(a, b) for a, b in zip(depth.parameters(), again.parameters()))


def test_the_stretched_network_sees_the_same_patches(script: ModuleType) -> None:
    depth, _ = script.new_network(0)
    fine = script.stretched(depth)
    features = torch.rand(
        1, script.NETWORK.decoder_channels[-1], script.NETWORK.height // 2, script.NETWORK.width // 2
    )
    enlarged = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    with torch.no_grad():
        seen, seen_enlarged = (net.decoder.embedding_convPxP(x) for net, x in ((depth, features), (fine, enlarged)))
    torch.testing.assert_close(seen, seen_enlarged, rtol=1e-4, atol=1e-5)
    assert (fine.config.height, fine.config.width) == (2 * script.NETWORK.height, 2 * script.NETWORK.width)


def test_weights_are_small_recorded_and_read_back(script: ModuleType, tmp_path: Path) -> None:
    depth, _ = script.new_network(0)
    record = script.record_of(Namespace(triplets=3, steps=7, fine_steps=[2, 3], batch_size=4, seed=5))
    script.write_weights(depth, tmp_path, supervision=record)
    loaded = SPIdepth.from_pretrained(tmp_path)
    assert (
        "7 steps" in loaded.supervision
        and "--fine-steps 2 3" in loaded.supervision
        and "--seed 5" in loaded.supervision
    )
    assert (tmp_path / "model.safetensors").stat().st_size < 4_000_000
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, depth.state_dict()[name], rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        next(depth.parameters()).fill_(1e9)
    with pytest.raises(ValueError, match="not finite in half precision"):
        script.write_weights(depth, tmp_path, supervision=record)


def test_only_the_last_round_pulls_the_sky_away(script: ModuleType) -> None:
    first, rounds = script.training_phases(Namespace(steps=7, fine_steps=[2, 3], batch_size=4, seed=5))
    assert (first.far_sky, rounds[0].far_sky) == (0, 0) and rounds[1].far_sky > 0
    assert [(settings.steps, settings.seed) for settings in (first, *rounds)] == [(7, 5), (2, 5), (3, 6)]
