"""The `evaluate` module, loaded from the path that the metrics name, as a user loads it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality, evaluate_module
from tests.metrics import golden


evaluate = pytest.importorskip("evaluate")

CAR = {"semantic": [[0, 0], [13, 13]], "instance": [[0, 0], [1, 1]]}


@pytest.fixture
def load(evaluate_cache: str):
    return lambda *arguments, **options: evaluate.load(
        evaluate_module(), *arguments, cache_dir=evaluate_cache, **options
    )


def forms(image: dict) -> tuple[dict, tuple]:
    truth = {"semantic": image["true_semantic"], "instance": image["true_instance"]}
    return (image["pred_semantic"], image["pred_instance"]), truth


def settings_of(scene: golden.Scene, **settings) -> dict:
    split = {"pseudo_things": scene.meta["pseudo_things"], "pseudo_stuff": scene.meta["pseudo_stuffs"]}
    return {"matching": "hungarian_split", **split, **settings}


@pytest.mark.parametrize("convention", ["coco", "cups"])
def test_adding_one_by_one_in_batches_and_at_once_by_vectors(load, convention: str) -> None:
    scene = golden.load("03_over40")
    pairs = [forms(image) for image in scene.images]
    expected = scene.metric(convention=convention).compute().to_dict()
    metric = load()
    for prediction, reference in pairs:
        metric.add(prediction=prediction, reference=reference)
    one_by_one = metric.compute(**settings_of(scene, convention=convention))
    for start in (0, 2):
        metric.add_batch(
            predictions=[p for p, _ in pairs[start : start + 2]], references=[r for _, r in pairs[start : start + 2]]
        )
    in_batches = metric.compute(**settings_of(scene, convention=convention))
    at_once = metric.compute(
        predictions=[p for p, _ in pairs],
        references=[r for _, r in pairs],
        **settings_of(scene, convention=convention),
    )
    assert one_by_one == in_batches == at_once == expected


def test_report_config_resizes_before_counting(load) -> None:
    image = golden.load("15_full_1024x2048").images[0]
    prediction = np.where(image["true_semantic"] < 11, image["true_semantic"], 255)
    direct = PanopticQuality(range(11, 19), range(11), convention="report")
    direct.update(prediction, None, image["true_semantic"], image["true_instance"])
    result = load("report").compute(predictions=[prediction], references=[forms(image)[1]])
    assert result == direct.compute().to_dict() and result["convention"] == "report"
    metric = load()
    metric.add(prediction=CAR, reference=CAR)
    with pytest.raises(ValueError, match="load the metric with config_name='report'"):
        metric.compute(convention="report")


def test_rows_name_their_images(load) -> None:
    metric = load()
    with pytest.raises(ValueError, match="image 'a': segment id 4 is in the map but not in `segments_info`"):
        metric.add(
            prediction={"segmentation": np.full((2, 2), 4), "segments_info": [], "image_id": "a"}, reference=CAR
        )
    metric.add(prediction=CAR | {"image_id": "a"}, reference=CAR)
    metric.add(prediction=CAR, reference=CAR, image_id="a")
    with pytest.raises(ValueError, match="image 'a' was added before"):
        metric.compute()


def test_one_side_longer_than_the_other(load) -> None:
    with pytest.raises(ValueError, match="Got 1 predictions but 2 references"):
        load().compute(predictions=[CAR], references=[CAR, CAR])


def test_description_shows_how_to_call_it(load) -> None:
    metric = load()
    assert "post_process_panoptic_segmentation" in metric.inputs_description and "kirillov" in metric.citation
    assert metric.compute(predictions=[CAR], references=[CAR])["pq"] == 1.0


def test_cache_holds_tables_and_not_maps(load, tmp_path: Path) -> None:
    metric = load()
    pair = forms(golden.load("15_full_1024x2048").images[0])
    for number in range(3):
        metric.add(prediction=pair[0], reference=pair[1], image_id=str(number))
    metric._finalize()
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.arrow")) < 3 * 60_000
    metric.data = metric.writer = None


def test_two_processes_make_one_score(load) -> None:
    """Both run in threads here: `evaluate` synchronises processes by file locks alone."""
    scene = golden.load("03_over40")
    results: dict[int, dict | None] = {}

    def work(process_id: int) -> None:
        metric = load(num_process=2, process_id=process_id, experiment_id="two", timeout=1500)
        for number, image in enumerate(scene.images):
            if number % 2 == process_id:
                prediction, reference = forms(image)
                metric.add(prediction=prediction, reference=reference, image_id=str(number))
        results[process_id] = metric.compute(**settings_of(scene))

    other = threading.Thread(target=work, args=(1,))
    other.start()
    work(0)
    other.join(1500)
    assert results == {0: scene.metric().compute().to_dict(), 1: None}


def test_listed_segments_of_stuff_stay_apart_and_ids_of_a_map_mean_nothing_there(load) -> None:
    listed = {
        "segmentation": [[1, 2], [3, 3]],
        "segments_info": [{"id": k, "label_id": c} for k, c in ((1, 0), (2, 0), (3, 13))],
    }
    whole = {
        "segmentation": [[1, 1], [3, 3]],
        "segments_info": [{"id": k, "label_id": c} for k, c in ((1, 0), (3, 13))],
    }
    maps = ([[0, 0], [13, 13]], [[1, 2], [3, 3]])
    for prediction, options, pq in ((listed, {}, 0.5), (maps, {}, 1.0), (listed, {"merge_stuff": True}, 1.0),
                                    (listed, {"convention": "cups"}, 1.0), (listed, {"matching": "hungarian"}, 1.0)):  # fmt: skip
        assert load().compute(predictions=[prediction], references=[whole], **options)["pq"] == pq
    with pytest.raises(ValueError, match="segment id 1 is listed twice"):
        load().compute(predictions=[whole | {"segments_info": whole["segments_info"] * 2}], references=[whole])


def test_a_prediction_of_nothing_has_the_size_of_its_reference(load) -> None:
    nothing = {"segmentation": None, "segments_info": []}
    result = load().compute(predictions=[nothing, CAR], references=[CAR, CAR])
    assert result["predicted_void_share"] == 0.5 and result["per_class"][13]["fn"] == 1
    assert result["per_class"][13]["tp"] == 1
