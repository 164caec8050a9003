"""STEGO's training: what learns, resume, one seed one result, and no way in for labels."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from mbps_dataset.errors import InputError, TrainingError
from mbps_dataset.models.depthg import DepthGConfig, DepthGSegmenter
from mbps_dataset.training import stego
from mbps_dataset.training.checkpointing import Checkpoint
from mbps_dataset.training.correspondence import PUBLISHED
from mbps_dataset.training.stego import StegoTrainingSettings, faded, similar_pictures, train_stego
from tests.training.pictures import street_like_pictures


TINY = DepthGConfig(
    hidden_size=16, layers=1, heads=2, mlp_ratio=2, patch_size=8, position_grid=4, code_dim=6, clusters=5
)
FEW = StegoTrainingSettings(steps=3, windows_per_step=4, window_px=32, positions=3, negatives=2)
PICTURES = street_like_pictures()
DEPTHS = [np.linspace(2, 40, 15 * 25, dtype=np.float32).reshape(15, 25) for _ in PICTURES]


def trained(settings=FEW, **more):
    torch.manual_seed(0)
    network = DepthGSegmenter(TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    means = train_stego(network, PICTURES, settings, show_progress=False, **more)
    return before, network, means


def same(one, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("settings", [FEW, replace(FEW, kmeans_start=True)])
def test_head_and_probe_learn_and_the_backbone_stays(settings):
    before, network, means = trained(settings)
    changed = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"head", "probe"} and not network.training
    assert set(means) == {"correspondence", "probe"} and all(np.isfinite(value) for value in means.values())


def test_one_seed_gives_one_result_and_another_another():
    one, again, other = trained()[1], trained()[1], trained(replace(FEW, seed=1))[1]
    assert same(one, again) and not same(one, other)


def test_a_killed_training_continues_to_the_same_weights(tmp_path, monkeypatch):
    whole = trained(replace(FEW, steps=5))[1]
    path = tmp_path / "stego.pt"

    def killed(self: Checkpoint, done: int) -> None:
        self.save(done)
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Checkpoint, "step_done", killed)
        trained(replace(FEW, steps=5), checkpoint_path=path)
    torch.manual_seed(99)
    continued = DepthGSegmenter(TINY)
    continued.backbone.load_state_dict(whole.backbone.state_dict())
    train_stego(continued, PICTURES, replace(FEW, steps=5), checkpoint_path=path, show_progress=False)
    assert same(whole, continued)


def test_depth_changes_what_is_learned_and_so_does_its_kind():
    without, published, similar, spread = (
        trained(settings, losses=losses, depths=depths)[1]
        for settings, losses, depths in (
            (FEW, PUBLISHED, None),
            (FEW, PUBLISHED, DEPTHS),
            (FEW, replace(PUBLISHED, depth="similarity"), DEPTHS),
            (replace(FEW, spread_by_depth=True), PUBLISHED, DEPTHS),
        )
    )
    assert not any(
        same(one, other) for one, other in ((without, published), (published, similar), (published, spread))
    )


def test_the_depth_of_a_window_is_cut_where_the_window_was():
    torch.manual_seed(3)
    pictures = [np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[:, None], 100, axis=1)[..., None].repeat(3, 2)] * 2
    depths = [picture[..., 0].astype(np.float32) for picture in pictures]
    trainer = stego._Trainer(DepthGSegmenter(TINY), pictures, FEW, PUBLISHED, depths)
    windows = trainer._windows([0, 1])
    cut = trainer._depth(windows, [0, 1])
    assert cut.shape == (2, 1, 32, 32)
    np.testing.assert_allclose(cut[:, 0], windows.pixels[:, 0] * 255, atol=4)


def test_neighbours_are_the_most_similar_others():
    embeddings = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1.0], [0.1, 2.0]])
    assert similar_pictures(embeddings, 1).flatten().tolist() == [1, 0, 3, 2]
    assert similar_pictures(embeddings, 7).shape == (4, 3)


def test_the_depth_term_fades_by_a_fifth_every_400_steps():
    assert faded(PUBLISHED, 399) == (0.09, 0.03)
    assert faded(PUBLISHED, 800) == pytest.approx((0.09 * 0.64, 0.03 * 0.64))


def test_what_cannot_be_trained_on_is_said():
    with pytest.raises(
        InputError, match="STEGO compares pictures with each other, and there are 1; give at least two"
    ):
        train_stego(DepthGSegmenter(TINY), PICTURES[:1], FEW)
    with pytest.raises(InputError, match="spread_by_depth chooses positions by depth, but no depth was given"):
        train_stego(DepthGSegmenter(TINY), PICTURES, replace(FEW, spread_by_depth=True))
    broken = DepthGSegmenter(TINY)
    broken.head.cluster1[0].bias.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="Step 1: the loss is nan; take a smaller learning rate"):
        train_stego(broken, PICTURES, FEW, show_progress=False)


def test_nothing_but_pictures_and_depths_can_be_handed_in():
    parameters = ["segmenter", "pictures", "settings", "losses", "depths", "checkpoint_path", "show_progress"]
    assert list(inspect.signature(train_stego).parameters) == parameters and "truth" not in inspect.getsource(stego)
