"""A whole ablation on two small scenes: numbers, sharing, resuming, and what cannot be measured."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.ablation import Detector, as_markdown, choose_tables, run_ablation
from mbps_dataset.ablation.kept_scenes import KeptFrame
from mbps_dataset.ablation.view import View
from mbps_dataset.errors import InputError, WeightsError
from mbps_dataset.formats.image_segmentation import cityscapes_labels
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage_pseudo_classes import class_map
from mbps_dataset.labelling.stage_row import label
from mbps_dataset.metrics import PanopticQuality, PanopticQualityByDistance
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, Frame, ScenesSource, Source
from mbps_dataset.sources.rendered import SceneFrame
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import STREETS


SCENES = {"train": 0, "validation": 2, "height": 128, "width": 256}
RECIPE = get_recipe("demo").with_settings(
    [
        "fusion.order=overwrite",
        "instances.short_side=128",
        "instances.min_area=60",
        "crf.iterations=2",
        "cuts.size=160",
    ]
)
NAMES = ("4", "7", "merging", "hybrid")


def ablate(store: Store, source: Source | None = None, names=NAMES, recipe=RECIPE, detectors=(), **options):
    tables = choose_tables(names, recipe, detectors)
    source = source or ScenesSource(**SCENES)
    return run_ablation(recipe, source, "validation", store, tables, workers=1, **options)


def rows_of(ablation, name: str):
    return {row.name: row for table, rows in ablation.tables if table.name == name for row in rows}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("ablation"))


@pytest.fixture(scope="module")
def computed(store) -> Counter:
    """How often each stage result was written while the ablation below ran."""
    return Counter()


@pytest.fixture(scope="module")
def measured(store, computed):
    put = Store.put

    def counting_put(self, stage, key, image_id, digest, arrays):
        computed[stage, key, image_id] += 1
        put(self, stage, key, image_id, digest, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "put", counting_put)
        return ablate(store)


def test_every_row_has_numbers_that_fit_together(measured):
    for table, rows in measured.tables:
        for row in rows:
            assert row.unavailable or 0 <= row.values["pq"] <= 1, (table.name, row.name)
    assert measured.about["images"] == 2 and measured.about["recipe"]["name"] == "demo"
    text = as_markdown(measured.head, measured.tables)
    assert "convention `report`" in text and "Fusion `overwrite`" in text and "calibration" in text


def test_the_first_row_is_what_the_recipe_labels(measured, store):
    """The same number from finished labels, through another road."""
    label_set = Labelling(RECIPE, ScenesSource(**SCENES), store)
    calibration = label_set.calibration()
    stuff = [k for k in range(27) if k not in calibration.things]
    split = {"pseudo_things": calibration.things, "pseudo_stuff": stuff, "matching": "hungarian"}
    naming = PanopticQuality(
        taxonomy.THINGS_19, taxonomy.STUFF_19, convention="report", drop_zero_overlap=True, **split
    )
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, convention="report", **split)
    for frame in label_set.frames("validation"):
        truth = frame.truth()
        true = cityscapes_labels(truth.label_ids, truth.instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, frame.image_id)
        labelled = label(label_set.calibrated_run().visit(frame))
        classes = np.full(truth.label_ids.shape, 255)
        for segment in labelled.segments:
            classes[labelled.panoptic == segment["id"]] = segment["category_id"]
        metric.update(classes, labelled.panoptic, **true.as_truth(), image_id=frame.image_id)
        naming.update(labelled.semantic, None, **true.as_truth(), image_id=frame.image_id)
    expected = metric.compute(assignment=naming.assignment().classes)
    full = rows_of(measured, "4")["Full pipeline"].values
    for name in ("pq", "pq_things", "pq_stuff", "sq", "rq"):
        assert full[name] == pytest.approx(getattr(expected, name), abs=1e-12)
    assert full["miou"] == pytest.approx(naming.compute().miou)


def test_rows_differ_as_they_should(measured):
    components, splits, merging = (rows_of(measured, name) for name in ("4", "7", "merging"))
    full = components["Full pipeline"]
    assert components["− Min-area filter (A_min = 0)"].values["instances"] > full.values["instances"]
    assert components["True class maps and split"].values["pq"] > 2 * full.values["pq"]
    assert merging["Merging on (delta < 0.05)"].values["instances"] <= full.values["instances"]
    assert splits["CLS attention"].values == full.values
    assert (splits["All-stuff"].values["things"], splits["All-stuff"].values["instances"]) == (0, 0)
    oracle = splits["Oracle GT split"].values
    assert oracle["right_side"] == oracle["classes"] > splits["CLS attention"].values["right_side"]
    assert splits["Random (n = 8)"].trials == 10 and splits["Random (n = 8)"].values["things"] == 8
    hybrid = [row.values["instances"] for row in rows_of(measured, "hybrid").values()]
    assert hybrid == sorted(hybrid, reverse=True) and hybrid[0] > hybrid[-1]


def test_what_rows_share_is_computed_once(measured, computed):
    assert set(computed.values()) == {1}
    stages = Counter(stage for stage, _, _ in computed)
    assert stages["codes"] == stages["depth"] == stages["saliency"] == 2
    assert stages["pseudo_classes"] == 4  # with and without CRF


def test_a_stopped_run_goes_on_where_it_was(measured, tmp_path, store, monkeypatch):
    made, panoptic = [], View.panoptic

    def stopping(self, variant):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(variant)
        return panoptic(self, variant)

    monkeypatch.setattr(View, "panoptic", stopping)
    again = ablate(store, names=["merging"])  # everything is there: nothing is made
    shown = [{name: row.to_dict() for name, row in rows_of(run, "merging").items()} for run in (again, measured)]
    assert not made and shown[0] == shown[1]
    changed = RECIPE.with_settings(["fusion.min_stuff_area=7"])
    with pytest.raises(KeyboardInterrupt):
        ablate(store, names=["4"], recipe=changed)
    made.clear()
    monkeypatch.setattr(View, "panoptic", lambda self, variant: made.append(variant) or panoptic(self, variant))
    finished = ablate(store, names=["4"], recipe=changed)
    rows = [row for row in rows_of(finished, "4").values() if not row.unavailable]
    assert len(made) == 2 * len(rows) - 5


class WithoutDepth(KeptFrame):
    def __init__(self, frame: Frame, has_truth: bool) -> None:
        super().__init__(frame)
        self._has_truth = has_truth

    def truth(self):
        return replace(super().truth(), depth_m=None) if self._has_truth else None


class PlainScenes(ScenesSource):
    """Scenes as photographs are: no depth in the truth, or no truth at all."""

    name = "photographs"

    def __init__(self, truth: bool = True) -> None:
        super().__init__(**SCENES)
        self.has_truth = truth

    def frames(self, split):
        return tuple(WithoutDepth(frame, self.has_truth) for frame in super().frames(split))


def test_without_true_depth_its_rows_are_named_and_left_out(measured, store):
    rows = rows_of(ablate(store, PlainScenes(), names=["4"]), "4")
    assert rows["True depth"].unavailable == "not run: the source has no true depth"
    assert rows["Full pipeline"].values == rows_of(measured, "4")["Full pipeline"].values


def test_without_truth_there_is_nothing_to_measure(store):
    with pytest.raises(InputError, match="The source 'photographs' has no ground truth in split 'validation'"):
        ablate(store, PlainScenes(truth=False))


def test_detections_get_rows_of_their_own(measured, store, tmp_path):
    for frame in ScenesSource(**SCENES).frames("validation"):
        ids = frame.truth().instance_ids
        masks = np.stack([ids == k for k in np.unique(ids[ids >= 1000])] or [ids < 0])
        np.savez(tmp_path / f"{frame.image_id}.npz", masks=masks, scores=np.linspace(0.9, 0.4, len(masks)))
    rows = rows_of(ablate(store, names=["4"], detectors=[Detector("CutLER", (str(tmp_path),))]), "4")
    assert rows["Replace depth inst. w/ CutLER"].values["pq"] > 0
    assert rows["Replace depth inst. w/ CuVLER"].unavailable


def test_what_is_missing_is_said_before_anything_runs(tmp_path):
    empty = Store(tmp_path / "empty")
    with pytest.raises(InputError, match="nowhere.json: no such file or folder of detections"):
        ablate(empty, names=["4"], detectors=[Detector("CutLER", ("nowhere.json",))])
    with pytest.raises(WeightsError, match="cuts.weights: /nope is neither"):
        ablate(empty, names=["6"], recipe=RECIPE.with_settings(["cuts.weights=/nope"]))
    assert not empty.root.exists() or not list(empty.root.glob("codes/*"))


def test_other_conventions_can_be_asked_for(measured, store):
    rows = rows_of(ablate(store, names=["merging"], convention="coco"), "merging")
    assert rows["Merging off"].values["sq"] != rows_of(measured, "merging")["Merging off"].values["sq"]


class StreetWithCar(ScenesSource):
    """The one small street in which a car moves."""

    def __init__(self) -> None:
        super().__init__(**STREETS)

    def frames(self, split):
        return super().frames(split)[1:]


MOTION = get_recipe("demo-motion").with_settings(
    ["motion.least_object_px=60", "crf.enabled=false", "instances.short_side=192", "semantics.flip=false"]
)
LIMITS = (0.0, 10.0, math.inf)


def ablate_cups(store: Store, names, source: Source | None = None, recipe=MOTION, **options):
    pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")
    given = {"convention": "cups", "names_apart": True, "resamples": 20, "workers": 1} | options
    tables = choose_tables(names, recipe, (), LIMITS)
    return run_ablation(recipe, source or StreetWithCar(), "train", store, tables, **given)


@pytest.fixture(scope="module")
def of_cups(store):
    return ablate_cups(store, ["cups"])


def test_what_moves_is_labelled_in_rows_as_in_label_sets(of_cups, store):
    """The number of the recipe as it is, from finished labels, through another road."""
    label_set = Labelling(MOTION, StreetWithCar(), store)
    things = label_set.calibration().things
    stuff = [k for k in range(27) if k not in things]
    settings = {"things": taxonomy.THINGS_19, "stuff": taxonomy.STUFF_19, "drop_zero_overlap": True}
    settings |= {"pseudo_things": things, "pseudo_stuff": stuff}
    quality = PanopticQuality(convention="cups", matching="hungarian_split", **settings)
    by_distance = PanopticQualityByDistance(LIMITS, matching="hungarian", **settings)
    (frame,) = label_set.frames("train")
    truth, visit = frame.truth(), label_set.calibrated_run().visit(frame)
    true = cityscapes_labels(truth.label_ids, truth.instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, "a").as_truth()
    labelled = label(visit)
    classes = np.full(truth.label_ids.shape, 255)
    for segment in labelled.segments:
        classes[labelled.panoptic == segment["id"]] = segment["category_id"]
    quality.update(classes, labelled.panoptic, **true)
    by_distance.update(class_map(visit, *classes.shape), None, **true, depth=truth.depth_m)
    row, expected, ranges = rows_of(of_cups, "cups-5")["This recipe"], quality.compute(), by_distance.compute()
    assert row.values["instances"] >= 1 and expected.pq_things > 0
    for name in ("pq", "pq_things", "pq_stuff", "sq", "rq", "predicted_void_share"):
        assert row.values[name] == pytest.approx(getattr(expected, name), abs=1e-12)
    row = rows_of(of_cups, "cups-10b")["High resolution"]
    assert row.values["miou"] == ranges[None].miou
    assert row.intervals["miou"] == (row.values["miou"],) * 2  # of one image, drawn again and again
    assert (row.values["miou_0_10"], row.values["miou_10_inf"]) == tuple(
        ranges[limits].miou for limits in list(ranges)[1:]
    )


def test_rows_of_cups_share_what_is_expensive_and_say_what_they_are(of_cups, store):
    stored = {stage: len(list((store.root / stage).glob("*/*"))) for stage in ("flow", "motion")}
    assert stored == {"flow": 1, "motion": 3}  # one run, eight, and our own way
    assert of_cups.about["distances"] == {"unit": "metres of the ground truth", "limits": [0.0, 10.0, None]}
    text = as_markdown(of_cups.head, of_cups.tables)
    assert (
        "things and stuff apart" in text
        and "which the convention leaves out of the score" in text
        and "In the paper" in text
    )
    for table, rows in of_cups.tables:
        assert all(0 <= row.values["pq"] <= 1 for row in rows), table.name


def test_distances_are_the_recipes_own_where_truth_holds_no_depth(of_cups, store, monkeypatch):
    monkeypatch.setattr(SceneFrame, "truth", lambda self, whole=SceneFrame.truth: replace(whole(self), depth_m=None))
    done = ablate_cups(store, ["cups-10b"])
    assert "Distances are in the unit of the recipe's own depth" in "\n".join(done.head)
    own, true = (rows_of(run, "cups-10b")["High resolution"].values for run in (done, of_cups))
    assert own["miou"] == true["miou"] and own["miou_0_10"] != true["miou_0_10"]


def test_recipes_that_find_nothing_moving_have_the_other_rows(measured, store):
    tables = choose_tables(["cups-5", "cups-10b"], RECIPE, (), (0.0, 10.0))
    scoring = {"convention": "cups", "names_apart": True}
    done = run_ablation(RECIPE, ScenesSource(**SCENES), "validation", store, tables, workers=1, limit=1, **scoring)
    assert all(row.unavailable and not row.values for row in rows_of(done, "cups-5").values())
    rows = rows_of(done, "cups-10b")
    assert rows["High resolution"].values["miou_0_10"] > 0 and rows["Depth-guided"].unavailable
    assert "| Depth-guided (not run: semantics.windows is 'depth'" in as_markdown(done.head, done.tables)


def test_a_source_without_stereo_video_is_refused_before_anything_runs(tmp_path):
    Image.new("RGB", (128, 64)).save(tmp_path / "a.png")
    photographs, empty = FolderSource(tmp_path), Store(tmp_path / "empty")
    with pytest.raises(InputError, match="no stereo video in 'train': no image of the right eye"):
        ablate_cups(empty, ["cups"], photographs)
    stereo = get_recipe("demo").with_settings(["depth.method=stereo"])
    with pytest.raises(InputError, match="no stereo pairs in 'train': no image of the right eye"):
        run_ablation(stereo, photographs, "train", empty, choose_tables(["8"], stereo))
    assert not (tmp_path / "empty").exists()
