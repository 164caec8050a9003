"""`mbps eval` against panopticapi's own evaluator, on random files of every kind: the same files, counts and sums.

panopticapi is installed without its pins, which conflict with current numpy: ``pip install --no-deps panopticapi-lite``.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.label_source import pairs
from mbps_dataset.formats.segmentation_sets import open_pair
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.scoring.score import score


evaluation = pytest.importorskip("panopticapi.evaluation")

SEEDS = np.random.SeedSequence().generate_state(8).tolist()
ROUNDS = [f"round{k}" for k in range(len(SEEDS))]  # names stay the same, so that tests can be spread over processes
CATEGORIES = [{"id": c.label_id, "name": c.name, "isthing": int(c.is_thing)} for c in taxonomy.CLASSES_19]
USED = (7, 8, 11, 23, 24, 26, 33)  # four of stuff, three of things
HEIGHT, WIDTH = 20, 32


def blocks(rng: np.random.Generator, choices: Any) -> np.ndarray:
    return np.kron(rng.choice(choices, (HEIGHT // 4, WIDTH // 4)), np.ones((4, 4), int))


def random_image(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Categories (0 = void) and numbers of segments, of stuff as well: a class comes in up to three segments."""
    return blocks(rng, (0, *USED)), blocks(rng, (0, 1, 2))


def segmented(
    rng: np.random.Generator, categories: np.ndarray, numbers: np.ndarray, *, crowds: int = 0
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Ids of random segments of 24 bits, and the list; up to `crowds` segments of each class are crowds."""
    keys, inverse = np.unique(categories * 10 + numbers, return_inverse=True)
    ids = rng.choice(2**24 - 1, len(keys), replace=False) + 1
    ids[keys < 10] = 0
    left = dict.fromkeys(USED, crowds)
    listed = []
    for position in rng.permutation(len(keys)):
        category = int(keys[position] // 10)
        if category:
            is_crowd = left[category] > 0 and rng.random() < 0.4
            left[category] -= is_crowd
            area = int((inverse == position).sum())
            listed.append({"id": int(ids[position]), "category_id": category, "iscrowd": int(is_crowd), "area": area,
                           "bbox": [0, 0, 1, 1]})  # fmt: skip
    return ids[inverse].reshape(categories.shape), listed


def write(path: Path, images: list[tuple[np.ndarray, list[dict[str, Any]]]], **document: Any) -> Path:
    path.with_suffix("").mkdir()
    annotations = []
    for number, (ids, listed) in enumerate(images):
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(path.with_suffix("") / f"{number}.png")
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": listed})
    path.write_text(json.dumps({"annotations": annotations, "categories": CATEGORIES} | document))
    return path


def random_files(folder: Path, seed: int, *, crowds: int = 1) -> tuple[Path, Path]:
    """A prediction that agrees with the truth in most pixels, and the truth; three images."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    true, predicted = [], []
    for _ in range(3):
        categories, numbers = random_image(rng)
        others = random_image(rng)
        kept, same = rng.random(categories.shape) < 0.85, rng.random(categories.shape) < 0.95
        true.append(segmented(rng, categories, numbers, crowds=crowds))
        predicted.append(segmented(rng, np.where(kept, categories, others[0]), np.where(same, numbers, others[1])))
    return write(folder / "pred.json", predicted), write(folder / "true.json", true)


def theirs(predicted: Path, truth: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[int, Any], dict[str, Any]]:
    """Counts by class id of ours, and averages, of panopticapi's `pq_compute`, on one core."""
    counted = []

    def single_core(pairs: Any, *arguments: Any) -> Any:
        counted.append(evaluation.pq_compute_single_core(0, pairs, *arguments))
        return counted[-1]

    monkeypatch.setattr(evaluation, "pq_compute_multi_core", single_core)
    with contextlib.redirect_stdout(io.StringIO()):
        averages = evaluation.pq_compute(str(truth), str(predicted))
    return {c.train_id: counted[0][c.label_id] for c in taxonomy.CLASSES_19}, averages


def agree(result: Any, counts: dict[int, Any], averages: dict[str, Any]) -> None:
    for class_id, row in result.per_class.items():
        expected = counts[class_id]
        assert (row["tp"], row["fp"], row["fn"]) == (expected.tp, expected.fp, expected.fn), class_id
        assert row["iou_sum"] == pytest.approx(expected.iou, abs=1e-9)
    for title, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for name in ("pq", "sq", "rq"):
            assert getattr(result, name + suffix) == pytest.approx(averages[title][name], abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS, ids=ROUNDS)
def test_counts_and_sums_are_equal(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stuff in several segments on both sides, crowds of things and stuff, void, ids of 24 bits."""
    predicted, truth = random_files(tmp_path, seed)
    counts, averages = theirs(predicted, truth, monkeypatch)
    agree(score(predicted, truth).result, counts, averages)
    arguments = ["eval", str(predicted), "--truth", str(truth), "--json", str(tmp_path / "q.json")]
    assert main(arguments) == 0
    written = json.loads((tmp_path / "q.json").read_text())
    assert written["pq"] == pytest.approx(averages["All"]["pq"], abs=1e-12) and written["images"] == 3
    assert sum(row["tp"] for row in written["per_class"].values()) == sum(each.tp for each in counts.values()) > 0


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_other_modes_of_the_same_colours_count_the_same(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = random_files(tmp_path, SEEDS[0])
    counts, averages = theirs(predicted, truth, monkeypatch)
    for picture in [*(tmp_path / "pred").iterdir(), *(tmp_path / "true").iterdir()]:
        image = Image.open(picture)
        image = image.convert(mode, palette=Image.Palette.ADAPTIVE, colors=256) if mode == "P" else image.convert(mode)
        image.save(picture)
    agree(score(predicted, truth).result, counts, averages)


def changed(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def first(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document["annotations"][0]["segments_info"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: first(d).pop(), "is in the map but not in `segments_info`"),
        (lambda d: first(d).append(first(d)[0] | {"id": 2**24 - 1}), "is in `segments_info` but not in the map"),
        (lambda d: first(d)[0].update(category_id=99), "has the category 99, which is not in `categories`"),
        (lambda d: d["annotations"].pop(), r"image '2' has ground truth but no prediction \(1 of 3 images\)"),
    ],
)
def test_what_panopticapi_refuses_is_refused(
    change: Any, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = random_files(tmp_path, SEEDS[1])
    changed(predicted, change)
    with pytest.raises(Exception, match="ID|id"):
        theirs(predicted, truth, monkeypatch)
    with pytest.raises(InputError, match=sentence):
        score(predicted, truth)


# The differences that docs/scoring.md names.


def test_every_crowd_forgives_where_panopticapi_keeps_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = random_files(tmp_path, SEEDS[2], crowds=3)
    counts, averages = theirs(predicted, truth, monkeypatch)
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, crowds="last", merge_stuff=False)
    for image_id, labels, true in pairs(*open_pair(predicted, truth)):
        metric.update(**labels.as_prediction(), **true.as_truth(), image_id=image_id)
    agree(metric.compute(), counts, averages)
    for class_id, row in score(predicted, truth).result.per_class.items():
        assert (row["tp"], row["fn"]) == (counts[class_id].tp, counts[class_id].fn) and row["fp"] <= counts[
            class_id
        ].fp


def test_predictions_of_other_images_are_an_error_where_panopticapi_passes_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = random_files(tmp_path, SEEDS[3])
    changed(truth, lambda d: d["annotations"].pop())
    with pytest.raises(InputError, match="image '2' is predicted but has no ground truth"):
        score(predicted, truth)
    agree(score(predicted, truth, missing="skip").result, *theirs(predicted, truth, monkeypatch))


@pytest.mark.parametrize(
    ("side", "change", "sentence"),
    [
        ("true", lambda d: first(d).pop(), "is in the map but not in `segments_info`"),
        (
            "true",
            lambda d: first(d).append(first(d)[0] | {"id": 2**24 - 1}),
            "is in `segments_info` but not in the map",
        ),
        ("true", lambda d: first(d).append(first(d)[0] | {"category_id": 23}), "is listed twice in `segments_info`"),
        ("pred", lambda d: first(d).append(first(d)[0] | {"category_id": 23}), "is listed twice in `segments_info`"),
        ("pred", lambda d: d["annotations"].append(d["annotations"][0]), "occurs twice"),
        (
            "pred",
            lambda d: d["categories"][0].update(name="Road"),
            "no class of Cityscapes has the name of category 7",
        ),
    ],
)
def test_contradictions_that_panopticapi_takes_are_refused(
    side: str, change: Any, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = random_files(tmp_path, SEEDS[4])
    changed(predicted if side == "pred" else truth, change)
    theirs(predicted, truth, monkeypatch)
    with pytest.raises(InputError, match=sentence):
        score(predicted, truth)
