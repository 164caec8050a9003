"""What the card says of labels from motion, and of depth, by the recipe that made them."""

from __future__ import annotations

import pytest

from mbps_dataset import cli
from mbps_dataset.labelset.card import render
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.named_recipes import get_recipe
from tests.labelset.test_document_file import DOCUMENT


NOTHING = "the camera's own motion explains all but … reliable pixels"
MOTION = {"train": {"images_with_objects": 2, "objects": 5, "reasons": {NOTHING: 7, "a|b": 1}}}
CALIBRATION = {
    "classes": [{"name": "0", "isthing": True, "ratio": 0.25, "coverage": None, "reason": "moves"}],
    "images": 10, "truth_used": [], "cluster_to_class": None, "centroids": None,
}  # fmt: skip
COUNTS = {"train": {"rows": 10, "segments": 2, "instances": 1}}


def document_of(name: str, *settings: str) -> dict:
    recipe = get_recipe(name).with_settings(list(settings)).to_json()
    motion = {"motion": MOTION} if get_recipe(name).with_settings(list(settings)).needs_flow else {}
    return DOCUMENT | {"recipe": recipe, "calibration": CALIBRATION, "counts": COUNTS} | motion


def test_motion_is_counted_with_the_reasons_of_the_other_images():
    card = render(document_of("demo-motion"))
    assert (
        "| split | images in which something moves | objects that move |\n|---|---|---|\n| train | 2 of 10 | 5 |\n"
        in card
    )
    assert "| split | images | why nothing that moves was found; … is a number |\n|---|---|---|\n" in card
    assert f"| train | 7 | {NOTHING} |\n| train | 1 | a&#124;b |\n\n" in card
    assert "| id | name | thing | moving share |" in card and "| 0 | 0 | thing | 0.250 |" in card
    assert "0 = unknown; metres, from two eyes |" in card and "[CUPS]" in card


def test_depth_alone_from_two_eyes_tells_why_there_is_none_and_of_no_motion():
    card = render(document_of("demo", "depth.method=stereo"))
    assert "why there is no depth" in card and f"| train | 7 | {NOTHING} |" in card
    assert "moves" not in card.partition("## Counts")[2].partition("## Classes")[0] and "[CUPS]" not in card


@pytest.mark.parametrize(
    ("things", "measured"), [("attention", "salient share"), ("depth-split", "parts cut along depth")]
)
def test_sets_without_motion_have_no_such_tables(things, measured):
    card = render(document_of("demo", f"things.method={things}"))
    counts = card.partition("## Counts")[2].partition("## Classes")[0]
    assert f"| thing | {measured} |" in card and "monocular, up to scale |" in card
    assert counts.count("| train |") == 1 and "why" not in counts


def test_a_published_network_is_no_network_without_a_past_and_of_many_classes_those_that_occur_are_listed():
    names = [f"class {k}" for k in range(827)]
    classes = [{"name": n, "isthing": True, "ratio": None, "coverage": None, "reason": "a thing"} for n in names]
    document = document_of("demo") | {
        "predicted": {"weights": "ab", "network": "CascadeMaskRCNN", "learned_from": None},
        "calibration": CALIBRATION | {"classes": classes},
        "counts": {"train": COUNTS["train"] | {"segments_per_class": dict.fromkeys(names, 0) | {"class 700": 2}}},
    }
    card = render(document | {"ground_truth_used": []})
    assert "what its weights saw is stated below" in card and "no record" not in card
    listed = card.partition("## Classes")[2].partition("##")[0]
    assert (
        "Those of the 827 classes that occur" in listed
        and listed.count("\n| ") == 2
        and "| 700 | class 700 |" in listed
    )
    citation = card.partition("## Citation")[2]
    assert "work that published the network" in citation and "CAUSE" not in citation
    assert "there is no record of what it learned from" in render(document | {"ground_truth_used": ["?"]})


@pytest.mark.parametrize(
    ("name", "cited", "others"),
    [
        ("demo", {"CAUSE", "DINOv2", "SPIdepth", "DINOv3"}, {"CUPS", "DepthG", "STEGO", "DINO"}),
        ("open", {"DINOv2", "SPIdepth"}, {"CAUSE", "DINOv3", "CUPS", "DepthG", "DINO"}),
        ("mbps-k80-depthpro", {"CAUSE", "DINOv2"}, {"SPIdepth", "DINOv3", "CUPS", "DepthG"}),
        ("motion", {"CUPS", "CAUSE", "DINOv2"}, {"SPIdepth", "DINOv3", "DepthG", "DINO"}),
        ("cups", {"CUPS", "DepthG", "STEGO", "DINO"}, {"CAUSE", "DINOv2", "SPIdepth", "DINOv3"}),
    ],
)
def test_works_are_cited_that_the_labels_are_made_from(name, cited, others):
    citation = render(document_of(name)).partition("## Citation")[2]
    assert all(f"[{work}](" in citation for work in (*cited, "DenseCRF"))
    assert not any(f"[{work}](" in citation for work in others)


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        ((), ["  5 moving objects in 2 images", f"  no motion in 7: {NOTHING}"], "no depth"),
        (("instances.method=watershed", "things.method=all"), [f"  no depth in 7: {NOTHING}"], "moving objects in"),
    ],
)
def test_info_tells_it_too(settings, said, unsaid, tmp_path, capsys):
    write_document(tmp_path / "labelset.json", document_of("demo-motion", *settings))
    assert cli.main(["info", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(f"{line}\n" in told for line in said) and unsaid not in told
