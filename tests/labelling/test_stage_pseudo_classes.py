"""Pseudo-classes of two resolutions: how they are joined, and what a change of settings computes again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.errors import RecipeError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_codes import CODES, LOW_CODES, code_map, code_stages, log_probs, merged
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES
from mbps_dataset.labelling.whole_set import fit_centroids
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages.depth_guided_semantics import alpha_of_depth
from mbps_dataset.stages.overclustering import cluster_logits
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import frames


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")

QUICK = (
    "depth.method=stereo",
    "semantics.flip=false",
    "semantics.low_flip=false",
    "crf.enabled=false",
    "semantics.short_side=168",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def run_of(store: Store, *settings: str) -> Run:
    return Run(get_recipe("demo").with_settings([*QUICK, *settings]), store)


def labels(run: Run) -> np.ndarray:
    return run.visit(frames()[1]).result(PSEUDO_CLASSES)["labels"]


def test_every_way_of_joining_two_resolutions(store):
    visit = run_of(store, "semantics.windows=depth", "semantics.invalid_alpha=0.25").visit(frames()[1])
    probe = visit.run.network("cause").probe
    high, low = (merged(visit, stage, lambda codes: log_probs(codes, probe, 3.0)) for stage in (CODES, LOW_CODES))
    assert high.shape == low.shape == (27, 168, 336)
    depth = torch.from_numpy(resize_nearest(visit.result(DEPTH)["depth"], 168, 336))
    alpha = alpha_of_depth(depth, invalid_alpha=0.25)
    assert (depth == 0).any() and (depth > 0).any() and set(alpha[depth == 0].tolist()) == {0.25}
    expected = {"high": high, "low": low, "average": (high + low) / 2, "depth": alpha * low + (1 - alpha) * high}
    found = {
        windows: labels(run_of(store, f"semantics.windows={windows}", "semantics.invalid_alpha=0.25"))
        for windows in expected
    }
    for windows, scores in expected.items():
        np.testing.assert_array_equal(found[windows], scores.argmax(0).numpy(), err_msg=windows)
    assert len({array.tobytes() for array in found.values()}) == 4


def test_centroids_score_both_resolutions_too(store):
    centroids = np.random.default_rng(0).normal(size=(5, 90))
    settings = ("clusters.method=kmeans", "clusters.count=5", "semantics.windows=average")
    run = run_of(store, *settings)
    calibration = Calibration(classes=(), cluster_to_class=None, images=1, truth_used=(), centroids=centroids)
    visit = run.calibrated(calibration).visit(frames()[1])
    high, low = (cluster_logits(merged(visit, stage, code_map), centroids) for stage in (CODES, LOW_CODES))
    np.testing.assert_array_equal(visit.result(PSEUDO_CLASSES)["labels"], (high + low).argmax(0).numpy())
    fitted = fit_centroids(run, frames()[1:]).centroids
    assert fitted.shape == (5, 90) and np.isfinite(fitted).all()
    only_low = fit_centroids(run_of(store, *settings[:2], "semantics.windows=low"), frames()[1:]).centroids
    assert not np.allclose(fitted, only_low)


def test_the_image_is_decoded_once_for_both(store, monkeypatch):
    run, frame, opened = run_of(store, "semantics.windows=depth", "semantics.low_scale=0.4"), frames()[1], []
    decode = type(frame).image
    monkeypatch.setattr(type(frame), "image", lambda self: opened.append(self.image_id) or decode(self))
    visit = run.visit(frame)
    for stage in (CODES, LOW_CODES, PSEUDO_CLASSES):
        visit.result(stage)
    assert opened.count(frame.image_id) == 1


def keys(run: Run) -> tuple[str, ...]:
    return tuple(run.key(stage) for stage in (CODES, LOW_CODES, PSEUDO_CLASSES))


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("semantics.windows=average", (False, False, True)),
        ("semantics.invalid_alpha=0", (False, False, True)),
        ("semantics.low_scale=0.25", (False, True, True)),
        ("semantics.low_flip=true", (False, True, True)),
        ("semantics.scales=1,1.5", (True, False, True)),
        ("semantics.short_side=336", (True, True, True)),
        ("depth.confirmed=false", (False, False, True)),
        ("flow.preset=fast", (False, False, True)),
        ("depth.max_depth=80", (False, False, False)),
        ("things.psi=0.5", (False, False, False)),
    ],
)
def test_a_setting_makes_again_what_it_decides(store, setting, changed):
    plain, other = (
        keys(run_of(store, "semantics.windows=depth")),
        keys(run_of(store, "semantics.windows=depth", setting)),
    )
    assert tuple(a != b for a, b in zip(plain, other)) == changed


def test_depth_decides_only_where_it_weighs(store):
    first, second = (run_of(store, "semantics.windows=average", f"flow.preset={name}") for name in ("fast", "fine"))
    assert first.key(PSEUDO_CLASSES) == second.key(PSEUDO_CLASSES) and first.key(DEPTH) != second.key(DEPTH)
    frame, weighed = frames()[1], run_of(store, "semantics.windows=depth")
    assert PSEUDO_CLASSES.inputs(first, frame) == frame.digest()
    assert PSEUDO_CLASSES.inputs(weighed, frame) == DEPTH.inputs(weighed, frame) != frame.digest()
    assert [stage.name for stage in code_stages(weighed.recipe)] == ["codes", "low_codes"]


def test_depth_without_a_scale_weighs_nothing():
    with pytest.raises(
        RecipeError, match="needs depth in metres, but that of depth.method 'spidepth' has no scale; pass"
    ):
        get_recipe("demo").with_settings(["semantics.windows=depth"])
    get_recipe("demo").with_settings(["semantics.windows=average"])


def test_the_crf_sees_the_image_cut_off_on_request(store, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "mbps_dataset.stages.crf.dense_crf", lambda image, probabilities, **_: seen.append(image) or probabilities
    )
    for truncate in ("false", "true"):
        labels(run_of(store, "crf.enabled=true", f"crf.truncate={truncate}"))
    plain, cut = (image.astype(int) for image in seen)
    assert set(np.unique(plain - cut)) == {0, 1} and 0.1 < (plain - cut).mean() < 0.3
