"""Masks by themselves: which segments are instances, what is ignored, and a detector's masks in their place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.metrics import MaskAveragePrecision, ReportProtocol
from mbps_dataset.scoring.masks import DetectedMasks, add_masks, add_to_protocol, numbered_things
from mbps_dataset.scoring.score import score


THINGS, CAR, PERSON, ROAD, VOID = (11, 13), 13, 11, 0, 255


def street() -> Labels:
    """A road with two cars, a person with the id of the first car, a crowd of cars and an instance of no class."""
    semantic, instance, crowd = np.full((40, 60), ROAD), np.zeros((40, 60), int), np.zeros((40, 60), int)
    for left, class_id, number in ((0, CAR, 1), (10, CAR, 2), (20, PERSON, 1), (30, VOID, 4)):
        semantic[10:20, left : left + 8], instance[10:20, left : left + 8] = class_id, number
    semantic[10:20, 50:58], crowd[10:20, 50:58] = CAR, 26
    return Labels("street", semantic, instance, crowd)


def precision(predicted: Labels, true: Labels, detected: DetectedMasks | None = None):
    metric = MaskAveragePrecision()
    add_masks(metric, predicted, true, "street", pred_things=THINGS, things=THINGS, detected=detected)
    return metric.compute()


def test_equal_ids_of_two_classes_are_two_instances_and_keep_their_scores():
    labels = Labels("a", np.array([[11, 13, 13, 0, 11]]), np.array([[1, 1, 2, 3, 0]]), scores={1: 0.5, 2: 0.25})
    numbers, scores = numbered_things(labels, THINGS)
    assert len(set(numbers[0, :3])) == 3 and not numbers[0, 3:].any()
    assert [scores[k] for k in numbers[0, :3].tolist()] == [0.5, 0.5, 0.25]
    assert numbered_things(Labels("a", labels.semantic), THINGS)[1] == {}


def test_truth_against_itself_is_perfect_whatever_the_classes():
    true = street()
    result = precision(true, true)
    assert (result.ap, result.ar_100, result.true_masks, result.pred_masks) == (1.0, 1.0, 3, 3)
    is_person = true.semantic == PERSON
    renamed = Labels("street", np.where(is_person, CAR, true.semantic), true.instance + 5 * is_person)
    assert precision(renamed, true).ap == 1.0


def test_masks_on_crowds_and_on_no_class_are_neither_right_nor_wrong():
    true = street()
    semantic, instance = true.semantic.copy(), true.instance.copy()
    semantic[10:20, 30:38], instance[10:20, 50:58] = CAR, 9  # on the instance of no class, and on the crowd
    assert precision(Labels("street", semantic, instance), true).ap == 1.0
    semantic[30:38, :8], instance[30:38, :8] = CAR, 7  # on the road
    scores = {7: 1.0, **dict.fromkeys((1, 2, 4, 9), 0.5)}
    assert precision(Labels("street", semantic, instance, scores=scores), true).ap == pytest.approx(0.75)


def detector(tmp_path, masks: np.ndarray, scores: list[float], name: str = "street") -> DetectedMasks:
    np.savez(tmp_path / f"{name}.npz", masks=masks, scores=np.array(scores))
    return DetectedMasks.read(tmp_path, [f"train/{name}"], split_in_id=True)


def test_masks_of_a_detector_may_overlap_and_take_the_place_of_the_instances(tmp_path):
    true = street()
    car, person = (true.semantic == CAR) & (true.instance == 1), true.semantic == PERSON
    detected = detector(tmp_path, np.stack([car, person, car | person]), [0.9, 0.8, 0.1])
    masks, scores = detected.of("train/street", (40, 60))
    assert np.array_equal(masks[2], car | person) and scores.tolist() == [0.9, 0.8, 0.1]
    metric = MaskAveragePrecision()
    add_masks(metric, true, true, "train/street", pred_things=THINGS, things=THINGS, detected=detected)
    result = metric.compute()
    assert result.pred_masks == 3 and result.true_masks == 3 and result.ar_100 == pytest.approx(2 / 3)


def test_the_reports_protocol_paints_the_masks_of_a_detector_over_named_clusters(tmp_path):
    true = street()
    car = (true.semantic == CAR) & (true.instance == 1)
    detected = detector(tmp_path, car[None], [0.9])
    clusters = Labels("street", np.select([true.semantic == ROAD, true.semantic == CAR], [3, 5], 4))
    protocol = ReportProtocol(THINGS, (ROAD,), mode="maskcut")
    add_to_protocol(protocol, clusters, true, "train/street", pred_things={5}, class_of={3: ROAD, 5: CAR},
                    detected=detected)  # fmt: skip
    result = protocol.compute()
    assert result.matching == "maskcut"
    assert [result.per_class[CAR][key] for key in ("tp", "fp", "fn")] == [1, 0, 1]  # the second car has no mask
    assert result.per_class[PERSON]["fn"] == 1 and result.per_class[ROAD]["pq"] == 1.0


def test_images_of_one_name_in_two_splits_cannot_be_told_apart(tmp_path):
    with pytest.raises(InputError, match="images of one name in several splits; choose one with --split"):
        DetectedMasks.read(tmp_path, ["train/a", "val/a"], split_in_id=True)


def test_a_label_sets_own_instances_are_scored_and_its_truth_finds_itself(built, tmp_path, capsys):
    plain = score(built.root, splits=("validation",))
    scored = score(built.root, splits=("validation",), masks=True, painted="sweep")
    assert scored.result == plain.result and plain.masks is None
    things = sum(segment["isthing"] for row in built.rows("validation") for segment in row.segments)
    assert scored.masks.pred_masks == things and 0 <= scored.masks.ap <= 1
    assert scored.report_protocol.matching == "sweep" and scored.report_protocol.images == 2
    for frame in built.open_source().frames("validation"):
        Image.fromarray((frame.truth().instance_ids >= 1000) * (frame.truth().instance_ids % 1000 + 1).astype(np.uint16)
                        ).save(tmp_path / f"{frame.image_id}.png")  # fmt: skip
    arguments = ["eval", str(built.root), "--split", "validation", "--masks", "--detections", str(tmp_path)]
    assert main([*arguments, "--json", str(tmp_path / "q.json")]) == 0
    assert "whatever their class" in capsys.readouterr().out
    assert json.loads((tmp_path / "q.json").read_text())["masks"]["pred_masks"] > 0


def test_masks_of_an_image_without_prediction_count_where_it_counts_as_missed(tmp_path):
    true = street()
    for side, names in (("predicted", "a"), ("true", "ab")):
        (tmp_path / side).mkdir()
        for name in names:
            np.savez(tmp_path / side / f"{name}.npz", semantic=true.semantic, instance=true.instance)
    (tmp_path / "masks").mkdir()
    detector(tmp_path / "masks", ((true.semantic == CAR) & (true.instance == 1))[None], [0.9], name="b")
    scored = score(
        tmp_path / "predicted", tmp_path / "true", missing="void", masks=True, detections=tmp_path / "masks"
    )
    assert (scored.images, scored.masks.pred_masks, scored.masks.true_masks) == (2, 1, 6)
    (tmp_path / "masks" / "b.npz").rename(tmp_path / "masks" / "a.npz")
    scored = score(
        tmp_path / "predicted", tmp_path / "true", missing="void", masks=True, detections=tmp_path / "masks"
    )
    assert (scored.images, scored.masks.pred_masks, scored.masks.true_masks) == (2, 1, 6)


def test_what_cannot_be_asked_for_is_said(built, tmp_path):
    clusters = tmp_path / "clusters"
    clusters.mkdir()
    Image.new("L", (8, 8)).save(clusters / "a.png")
    with pytest.raises(
        InputError, match="Which pseudo-classes are things is not known of .*clusters; give --pseudo-things"
    ):
        score(clusters, clusters, matching="hungarian", masks=True)
    assert main(["eval", str(built.root), "--detections", str(clusters)]) == 1
