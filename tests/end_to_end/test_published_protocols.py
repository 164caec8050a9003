"""Pseudo-classes of published networks, named and scored as their authors do: image to label set to `mbps eval`.

The network paints what the colours of a picture say, so that every number below can be counted by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mbps_dataset.cli import main
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.prediction import Prediction, predict_label_set
from mbps_dataset.models.cascade import CascadeMaskRCNN
from mbps_dataset.models.cascade.reference import LICENCES, SUPERVISION
from mbps_dataset.models.panoptic.network import PanopticPrediction
from mbps_dataset.sources import open_source
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from tests.models.cascade.published_files import detectron2_file, lightning_file
from tests.models.cascade.tiny_network import TINY
from tests.sources.trees import save


ROAD, SKY, PERSON, CAR = 7, 23, 24, 26  # label ids; as train ids 0, 10, 11 and 13
HEIGHT, WIDTH = 32, 64


class Painted(CascadeMaskRCNN):
    """Red and green are the class and 1 more, blue the score of a thing in hundredths; black is void."""

    def predict(self, images: torch.Tensor) -> list[PanopticPrediction]:
        found = []
        for image in (images * 255).round().int().cpu().numpy():
            code = (image[0] << 16) + (image[1] << 8) + image[2]
            codes = [int(one) for one in np.unique(code) if one]
            ids = np.searchsorted([0, *codes], code) if codes else code
            classes = [(one >> 8) - 1 for one in codes]
            things = [class_id in self.thing_ids for class_id in classes]
            scores = [(one & 255) / 100 if thing else 1.0 for one, thing in zip(codes, things)]
            panoptic = Panoptic.from_map(np.asarray(ids), classes, things, scores)
            nothing = Instances.from_pixels(code.shape, [], np.zeros(0, np.int64), np.zeros(0))
            found.append(PanopticPrediction(panoptic, torch.zeros(len(self.class_names), *code.shape), nothing))
        return found


def painted(stuff: int, things: int, system: str) -> Painted:
    """A network of so many classes, which says of itself what one of `system` does."""
    names = (*(f"stuff {k}" for k in range(stuff)), *(f"thing {k}" for k in range(things)))
    config = replace(
        TINY, class_names=names, thing_ids=tuple(range(stuff, stuff + things)), label_free=True,
        supervision=SUPERVISION[system], licence=LICENCES[system],
    )  # fmt: skip
    return Painted(config).eval()


def tree(root: Path, pictures: list[list[tuple[int, int, float]]], truths: list[list[tuple[int, int]]]) -> Path:
    """Frames of Cityscapes in 16 strips of 4 columns each: (class, score) painted and (label id, instance) true."""
    for number, (picture, truth) in enumerate(zip(pictures, truths)):
        stem = f"lindau_00000{number}_000019"
        image, labels, instances = (np.zeros((HEIGHT, WIDTH, *more), np.uint16) for more in ((3,), (), ()))
        for strip, (class_id, hundredths) in enumerate(picture):
            code = class_id + 1
            image[:, 4 * strip : 4 * strip + 4] = (code >> 8, code & 255, hundredths) if class_id >= 0 else (0, 0, 0)
        for strip, (label, instance) in enumerate(truth):
            labels[:, 4 * strip : 4 * strip + 4] = label
            instances[:, 4 * strip : 4 * strip + 4] = 1000 * label + instance if instance else label
        save(root / "leftImg8bit/val/lindau" / f"{stem}_leftImg8bit.png", image.astype(np.uint8))
        save(root / "gtFine/val/lindau" / f"{stem}_gtFine_labelIds.png", labels.astype(np.uint8))
        save(root / "gtFine/val/lindau" / f"{stem}_gtFine_instanceIds.png", instances)
    return root


def scored(network: Painted, root: Path, output: Path, *options: str) -> dict:
    """What `mbps eval` says of the network's prediction of the tree."""
    source = open_source("cityscapes", data_dir=str(root))
    predict_label_set(Prediction(network, "weights/w", "a" * 64, source), output, progress=False)
    assert main(["eval", str(output), "--quiet", "--json", str(output / "q.json"), *options]) == 0
    return json.loads((output / "q.json").read_text())


def counts(result: dict, class_id: int) -> tuple[int, int, int]:
    return tuple(result["per_class"][str(class_id)][kind] for kind in ("tp", "fp", "fn"))


TRUTH = [(ROAD, 0)] * 6 + [(SKY, 0)] * 4 + [(CAR, 1)] * 3 + [(CAR, 2)] * 2 + [(PERSON, 1)]


@pytest.mark.parametrize(("stuff", "things"), [(19, 8), (25, 15), (34, 20)])
def test_cups_classes_are_named_and_scored_by_its_protocol(stuff, things, tmp_path):
    """Things and stuff matched apart over the set; what is left void costs nothing (it would under coco)."""
    road, sky, car, person = 3, stuff - 1, stuff, stuff + things - 1
    picture = [(road, 0)] * 6 + [(sky, 0)] * 4 + [(car, 90)] * 2 + [(-1, 0)] + [(car, 80)] * 2 + [(person, 70)]
    # in the second image the sky is taken for the car's thing cluster: matched apart, it never becomes a class of stuff
    second = [(road, 0)] * 6 + [(car, 60)] * 4 + picture[10:]
    root = tree(tmp_path / "cityscapes", [picture, second], [TRUTH, TRUTH])
    network = painted(stuff, things, "cups")
    result = scored(network, root, tmp_path / "set", "--convention", "cups", "--matching", "hungarian_split")
    assert result["convention"] == "cups" and result["matching"] == "hungarian_split"
    named = {int(pseudo): class_id for pseudo, class_id in result["assignment"].items()}
    assert (named[road], named[sky], named[car], named[person]) == (0, 10, 13, 11)
    assert len(named) == stuff + things and all((named[k] in range(11, 19)) == (k >= stuff) for k in named)
    assert [counts(result, each) for each in (0, 10, 13, 11)] == [(2, 0, 0), (1, 0, 1), (4, 1, 0), (2, 0, 0)]
    assert result["per_class"]["13"]["iou_sum"] == pytest.approx(4)  # the void third of a car has left its union
    assert result["predicted_void_share"] == pytest.approx(2 / 32)
    coco = scored(network, root, tmp_path / "set", "--convention", "coco", "--matching", "hungarian_split")
    assert coco["per_class"]["13"]["iou_sum"] == pytest.approx(2 + 2 * 2 / 3)


def test_u2segs_827_clusters_are_named_and_scored_by_its_votes(tmp_path):
    """Votes of an image (stuff: IoU > 0.15; things: boxes with IoU > 0.7 and a score of 0.6), panopticapi's rules, stuff apart."""
    near, far, sky = 4, 26, 9  # two clusters that both mean road
    car, unsure, unseen, person = 27 + 700, 27 + 799, 27 + 255, 27
    truths, pictures = [], []
    for cars in ([(car, 90)] * 3 + [(car, 60)] * 2, [(car, 90)] * 3 + [(unsure, 59)] * 2, [(unseen, 90)] * 5):
        pictures.append([(near, 0)] * 3 + [(far, 0)] * 3 + [(sky, 0)] * 4 + cars + [(person, 95)])
        truths.append(TRUTH)
    root = tree(tmp_path / "cityscapes", pictures, truths)
    network = painted(27, 800, "u2seg")
    result = scored(network, root, tmp_path / "set", "--matching", "u2seg")
    assert result["matching"] == "u2seg" and result["convention"] == "coco"
    named = {int(pseudo): class_id for pseudo, class_id in result["assignment"].items()}
    assert named == {near: 0, far: 0, sky: 10, car: 13, person: 11}  # without votes: void
    assert counts(result, 0) == (0, 6, 3)  # each half is a segment of its own, and of no IoU above a half
    assert counts(result, 10) == (3, 0, 0) and counts(result, 11) == (3, 0, 0)
    assert counts(result, 13) == (3, 0, 3)
    assert result["predicted_void_share"] == pytest.approx(7 / 48)
    assert result["pq"] == pytest.approx((0 + 1 + 1 + 3 / (3 + 1.5)) / 4)
    under_cups = scored(network, root, tmp_path / "set", "--convention", "cups", "--matching", "hungarian_split")
    assert {under_cups["assignment"][str(each)] for each in (near, far)} >= {0} and len(
        under_cups["assignment"]
    ) == 827
    row = next(iter(LabelSetFolder(tmp_path / "set").rows("validation")))
    assert {segment["category_id"] for segment in row.segments} == {near, far, sky, car, person}
    assert set(np.unique(row.semantic)) == {near, far, sky, car, person}


@pytest.mark.parametrize(
    ("system", "stuff", "things"), [("cups", 2, 2), ("u2seg", 27, 800), ("cutler", 0, 1), ("cuvler", 0, 1)]
)
def test_a_published_file_becomes_a_set_that_every_command_takes(system, stuff, things, tmp_path, capsys):
    """From the file to the score: convert, info, predict, info, eval, preview, push --dry-run."""
    file = (
        lightning_file(tmp_path / "f.ckpt")
        if system == "cups"
        else detectron2_file(tmp_path / "f.pth", things=things, stuff=stuff)
    )
    weights, output = tmp_path / "weights", tmp_path / "set"
    assert main(["convert", system, "--checkpoint", str(file), "--output", str(weights)]) == 0
    assert main(["info", "--weights", str(weights)]) == 0
    assert f"licence: {LICENCES[system]}" in capsys.readouterr().out
    root = tree(tmp_path / "cityscapes", [[(k, 50) for k in range(16)]], [TRUTH])
    predict = ["predict", "--weights", str(weights), "--data-dir", str(root), "--device", "cpu", "--quiet"]
    lively = [
        "--set",
        "short_side=64",
        "--set",
        "stuff_area=16",
        "--set",
        "merge_score=0.05",
        "--set",
        "box_score=0.01",
    ]
    assert main([*predict, "--output", str(output), *lively]) == 0
    built = LabelSetFolder(output)
    assert len(built.calibration.classes) == stuff + things and built.document["ground_truth_used"] == []
    capsys.readouterr()
    assert main(["info", str(output)]) == 0 and LICENCES[system] in capsys.readouterr().out
    protocol = {"cups": ["--convention", "cups", "--matching", "hungarian_split"], "u2seg": ["--matching", "u2seg"]}
    assert main(["eval", str(output), "--quiet", *protocol.get(system, ["--masks"])]) == 0
    said = capsys.readouterr().out
    assert ("masks against 3 true ones" in said) if not stuff else "PQ" in said
    assert main(["preview", str(output), "--quiet"]) == 0 and (output / "report.html").is_file()
    assert main(["push", str(output), "org/name", "--tag", "v1.0.0", "--dry-run"]) == 0
    warned = capsys.readouterr().err
    assert LICENCES[system] in warned or "CC BY-NC" not in LICENCES[system]
