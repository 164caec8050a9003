"""Calibrating over a set: over-clustering, naming, and who gets to see ground truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import CalibrationError, InputError
from mbps_dataset.labelling import whole_set
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage_codes import CODES, tokens_of
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.sources.rendered import SceneFrame
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES
from tests.tiny import tiny_settings


def label_set(small_label_set, *settings: str) -> Labelling:
    recipe = get_recipe("demo").with_settings(settings)
    return Labelling(recipe, ScenesSource(**SMALL_SCENES), small_label_set.store, splits=("train",))


def test_demo_never_reads_truth(small_label_set, monkeypatch, tmp_path):
    def refuse(_):
        raise AssertionError("ground truth was read")

    monkeypatch.setattr(SceneFrame, "truth", refuse)
    each = Labelling(small_label_set.recipe, small_label_set.source, small_label_set.store)
    frames = each.calibration_frames()
    taken = whole_set.take_calibration(each.run, frames, each.calibration_key)
    assert taken.truth_used == () and taken == each.calibration()
    rows = dict(each.rows("train", [0]))
    assert rows[0]["image_id"] == frames[0].image_id


@pytest.mark.parametrize("method", ["hungarian", "majority"])
def test_naming_is_recorded_as_using_truth(small_label_set, method):
    taken = label_set(small_label_set, f"naming.method={method}").calibration()
    assert taken.class_names[13] == "car" and len(taken.cluster_to_class) == 27
    assert taken.truth_used == (f"cluster names: {method} against 3 label maps",)
    assert set(taken.cluster_to_class) <= set(range(19)) | {255}


def test_naming_without_truth_says_what_to_do(small_label_set, tmp_path):
    for frame in small_label_set.frames("train")[:1]:
        Image.fromarray(frame.image()).save(tmp_path / "a.png")
    each = Labelling(
        get_recipe("demo").with_settings(["naming.method=majority"]), FolderSource(tmp_path), small_label_set.store
    )
    with pytest.raises(
        CalibrationError,
        match="no image of the source folder has any: leave them unnamed with --set naming.method=none, ",
    ):
        each.calibration()


def test_names_from_a_file(small_label_set, tmp_path):
    path = tmp_path / "names.npz"
    np.savez(path, cluster_to_class=np.arange(27) % 19)
    taken = label_set(small_label_set, "naming.method=file", f"naming.file={path}").calibration()
    assert taken.cluster_to_class == tuple(k % 19 for k in range(27))
    assert taken.truth_used == ("cluster names: from names.npz",)
    np.savez(tmp_path / "other.npz", names=np.arange(27))
    with pytest.raises(CalibrationError, match="holds no array `cluster_to_class`"):
        label_set(small_label_set, "naming.method=file", f"naming.file={tmp_path / 'other.npz'}").calibration()
    with pytest.raises(InputError, match="naming.file: .*no.npz is not a file"):
        label_set(small_label_set, "naming.method=file", f"naming.file={tmp_path / 'no.npz'}").calibration()


def test_over_clustering_is_label_free_and_repeatable(small_label_set, tmp_path):
    settings = ("clusters.method=kmeans", "clusters.count=40", "crf.enabled=false", "things.method=none")
    each = label_set(small_label_set, *settings)
    each.prepare(worker_count=1, progress=False)
    taken = each.calibration()
    assert len(taken.centroids) == 40
    assert taken.truth_used == () and np.allclose(np.linalg.norm(taken.centroids, axis=1), 1)
    again = whole_set.fit_centroids(each.run, each.calibration_frames())
    assert np.array_equal(again.centroids, taken.centroids)
    labels = each.calibrated_run().visit(each.frames("train")[0]).result(PSEUDO_CLASSES)["labels"]
    assert 5 < len(np.unique(labels)) <= 40

    path = tmp_path / "centroids.npz"
    np.savez(path, centroids=taken.centroids)
    given = label_set(small_label_set, *settings, "clusters.method=centroids", f"clusters.centroids={path}")
    assert np.allclose(whole_set.fit_centroids(given.run, []).centroids, taken.centroids)


def test_key_follows_what_matters(small_label_set):
    def key(*settings: str) -> str:
        return label_set(small_label_set, *settings).calibration_key

    assert key() == key("instances.grad_threshold=0.5", "fusion.min_stuff_area=1")
    assert key() != key("things.n_things=3")
    assert key() != key("naming.method=majority")
    assert key("things.method=depth-split") != key("things.method=depth-split", "instances.grad_threshold=0.5")


def test_unreadable_images_are_left_out(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    frames = FolderSource(tmp_path).frames("train")
    each = Labelling(
        get_recipe("demo").with_settings(["clusters.method=kmeans"]), FolderSource(tmp_path), Store(tmp_path / "s")
    )
    with pytest.raises(CalibrationError, match="No image could be read"):
        whole_set.fit_centroids(each.run, frames)


def tokens_set(folder, store, *settings: str) -> Labelling:
    """The label set of `tiny_settings` on the tokens of its network's backbone."""
    plain = tiny_settings(folder)
    tokens = ["semantics.codes=tokens", f"semantics.backbone={folder / 'weights'}", "semantics.directions=4"]
    recipe = get_recipe("demo").with_settings([*plain, *tokens, "clusters.method=kmeans", *settings])
    return Labelling(recipe, FolderSource(folder / "photos"), Store(store))


def test_tokens_are_whitened_on_the_images_of_the_set(tmp_path):
    each = tokens_set(tmp_path, tmp_path / "store")
    taken = each.calibration(isolate=False)
    assert taken.centroids.shape == (6, 4) and taken.truth_used == ()
    tokens = np.concatenate([
        next(tokens_of(each.run.visit(frame))).numpy() for frame in each.calibration_frames()
    ]).astype(np.float64)  # fmt: skip
    codes = (tokens - taken.token_mean) @ taken.token_projection
    assert np.abs(codes.mean(axis=0)).max() < 1e-6
    off_diagonal = np.cov(codes.T) - np.diag(np.var(codes, axis=0, ddof=1))
    assert np.abs(off_diagonal).max() < 1e-6 < np.abs(np.cov(tokens.T)[0, 1])
    assert len(dict(each.rows("train", range(6)))) == 6


def test_clusters_of_an_earlier_set_label_new_images_alike(tmp_path):
    each = tokens_set(tmp_path, tmp_path / "store")
    each.calibration(isolate=False)
    document = {"calibration": each.calibration().to_json(), "digests": {"weights": dict(each.run.contents)}}
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "labelset.json").write_text(json.dumps(document))
    again = tokens_set(tmp_path, tmp_path / "other", "clusters.method=centroids",
                       f"clusters.centroids={tmp_path / 'earlier'}")  # fmt: skip
    assert np.allclose(again.calibration(isolate=False).centroids, each.calibration().centroids)
    frame = each.frames("train")[2]
    one, other = (label_set.calibrated_run().visit(frame).result(PSEUDO_CLASSES) for label_set in (each, again))
    assert np.array_equal(one["labels"], other["labels"]) and len(np.unique(one["labels"])) > 1
    document["digests"]["weights"]["tokens"] = "0" * 64  # as many channels, but another network
    (tmp_path / "earlier" / "labelset.json").write_text(json.dumps(document))
    stranger = tokens_set(tmp_path, tmp_path / "third", "clusters.method=centroids",
                          f"clusters.centroids={tmp_path / 'earlier'}")  # fmt: skip
    with pytest.raises(CalibrationError, match="are of codes of another network than this recipe's"):
        stranger.calibration(isolate=False)


def test_how_tokens_become_codes_reads_no_image_again(tmp_path):
    settings = ([], ["semantics.directions=0"], ["semantics.shrinkage=3"])
    runs = [tokens_set(tmp_path, tmp_path / "store", *each) for each in settings]
    assert len({each.run.key(CODES) for each in runs}) == 1
    shapes = [each.calibration(isolate=False).centroids.shape for each in runs]
    channels = json.loads((tmp_path / "weights" / "config.json").read_text())["hidden_size"]
    assert shapes == [(6, 4), (6, channels), (6, 4)] and runs[1].calibration().token_projection is None
    assert len({each.calibration_key for each in runs}) == 3


def test_names_from_the_preview_hold_for_the_clusters_they_were_given_to(tmp_path):
    plain = tokens_set(tmp_path, tmp_path / "store").calibration(isolate=False)
    names, path = [13, 0, 2, 255, 10, 11], tmp_path / "names.json"
    named = ("naming.method=file", f"naming.file={path}")
    path.write_text(json.dumps({"cluster_to_class": names, "made_for": plain.clusters_digest}))
    taken = tokens_set(tmp_path, tmp_path / "store", *named).calibration(isolate=False)
    assert taken.cluster_to_class == tuple(names) and taken.truth_used == ("cluster names: from names.json",)
    path.write_text(json.dumps({"cluster_to_class": names, "made_for": plain.clusters_digest}))
    with pytest.raises(
        CalibrationError, match=r"names.json names clusters of another set .*clusters.centroids=THAT_SET"
    ):
        tokens_set(tmp_path, tmp_path / "store", *named, "clusters.seed=1").calibration(isolate=False)
