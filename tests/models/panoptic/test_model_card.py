"""The card of panoptic weights says which label set they learned from, and marks those that used ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbps_dataset.models.panoptic.model_card import model_card
from tests.models.panoptic.test_record import FROM, RECORD
from tests.training.panoptic.tiny_network import TinyPanoptic


def test_the_card_names_the_set() -> None:
    card = model_card("Tiny", ("road", "car"), frozenset({1}), "x", RECORD)
    assert (
        "Things: car. Stuff: road." in card.text and "8 images of the label set `demo` on scenes (train)" in card.text
    )
    assert "`sha256:" + "ab" * 32 in card.text and "No label of a person was used" in card.text
    assert "| cause | no labels |" in card.text and "Licence of the label set: apache-2.0" in card.text
    assert card.data.tags == ["panoptic-segmentation", "street-scenes", "pseudo-labels"]
    assert card.data.pipeline_tag == "image-segmentation"


def test_ground_truth_is_marked_and_an_unknown_past_is_said() -> None:
    used = replace(RECORD, learned_from=replace(FROM, ground_truth_used=("labels of people",)))
    card = model_card("Tiny", ("road",), frozenset(), "x", used)
    assert "**Ground truth was used for these labels: labels of people.**" in card.text
    assert "pseudo-labels" not in card.data.tags and "Things: none." in card.text
    unknown = model_card("Tiny", ("road",), frozenset(), "rendered scenes", None)
    assert "no record of the label set. The weights say of themselves: rendered scenes." in unknown.text
    assert "pseudo-labels" not in unknown.data.tags


def test_it_is_saved_with_the_weights(tmp_path: Path) -> None:
    network = TinyPanoptic()
    network.record = RECORD
    network.save_pretrained(tmp_path)
    assert "8 images of the label set `demo`" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "README.md").read_text().startswith("---\nlibrary_name: mbps-dataset\n")
