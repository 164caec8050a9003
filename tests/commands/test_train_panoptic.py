"""`mbps train panoptic` turns a label set into weights that say what they learned from; ground truth decides nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.labelset.document_file import read_document, write_document
from mbps_dataset.models.panoptic.loading import load_panoptic, panoptic_digest
from mbps_dataset.models.panoptic.record import NO_RECORD
from mbps_dataset.training.panoptic.log import read_log
from tests.formats.label_sets import IDS, random_label_set
from tests.models.cascade.tiny_network import TINY, tiny_network


SHORT = ["--steps", "3", "--batch-size", "2", "--set", "crop=32,64", "--device", "cpu", "--quiet"]


def write_images(root: Path, truth: Path | None = None, seed: int = 0) -> None:
    """A photograph for every id of the random sets, and a label map beside it."""
    for number, image_id in enumerate((*IDS["train"], *IDS["validation"])):
        random = np.random.default_rng([number, seed])
        if truth is None:
            (root / image_id).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 64, 3), np.uint8)).save(
                root / f"{image_id}.png"
            )
        else:
            (truth / image_id).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.choice(np.array([7, 11, 23, 26], np.uint8), (40, 64))).save(
                truth / f"{image_id}.png"
            )


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """``set`` without images, ``images``, and ``truth`` that the set's source names."""
    root = tmp_path_factory.mktemp("training")
    built = random_label_set(root / "set")
    write_images(root / "images")
    write_images(root / "images", root / "truth")
    document = dict(read_document(built.root / "labelset.json"))
    document.pop("checksum")
    document["source"] = {"name": "folder", "data_dir": str(root / "images"), "truth_dir": str(root / "truth")}
    write_document(built.root / "labelset.json", document)
    return root


def train(place: Path, output: str, *more: str) -> Path:
    assert main(["train", "panoptic", str(place / "set"), "--output", str(place / output), *SHORT, *more]) == 0
    return place / output


def test_weights_say_what_they_learned_from(place, capsys) -> None:
    output = train(place, "w", "--val", str(place / "set"), "--val-every", "2")
    said = capsys.readouterr().out
    assert "predict --weights" in said and "truth used  none" in said
    network = load_panoptic(output)
    identity = read_document(place / "set/labelset.json")["identity"]
    assert f"label set mbps sha256:{identity}" in network.supervision and "from a random start" in network.supervision
    assert network.record.learned_from.images == 3 and network.record.settings["steps"] == 3
    assert [entry["step"] for entry in read_log(output / "log.jsonl") if "validation" in entry] == [2, 3]
    assert (output / "curve.png").is_file() and "Training a panoptic network" in (output / "training.html").read_text()
    again = train(place, "further", "--start", str(output))
    started = f"the weights w sha256:{panoptic_digest(output)}"
    assert load_panoptic(again).record.start == started and f"; from {started}" in load_panoptic(again).supervision
    assert str(place) not in (again / "training.json").read_text() + (again / "README.md").read_text()
    assert "weights it started from" in load_panoptic(again).record.learned_from.supervision


def test_ground_truth_that_the_first_weights_used_is_not_forgotten(place) -> None:
    output = train(place, "before")
    record = json.loads((output / "training.json").read_text())
    record["learned_from"]["ground_truth_used"] = ["labels of people"]
    (output / "training.json").write_text(json.dumps(record))
    assert load_panoptic(train(place, "after", "--start", str(output))).record.learned_from.ground_truth_used == (
        "labels of people",
    )
    (output / "training.json").unlink()
    unknown = load_panoptic(train(place, "unknown", "--start", str(output))).record.learned_from.ground_truth_used
    assert unknown == (NO_RECORD,)


def test_published_weights_that_saw_no_labels_are_not_unknown(place) -> None:
    """CUPS' are trained further in its own second and third stage."""
    published = replace(TINY, stuff_area=1, label_free=True, licence="CC BY-NC-SA 4.0")
    tiny_network(published).save_pretrained(place / "published")
    output = train(place, "from-published", "--start", str(place / "published"), "--fresh-heads", "--steps", "1")
    network = load_panoptic(output)
    assert network.ground_truth_used == () == network.record.learned_from.ground_truth_used
    before = network.record.learned_from.supervision["weights it started from"]
    assert before.endswith("licence of the weights: CC BY-NC-SA 4.0")
    (output / "training.json").unlink()
    assert load_panoptic(output).ground_truth_used == (NO_RECORD,)


def test_shuffled_or_removed_ground_truth_leaves_the_weights_bit_equal(place, monkeypatch, capsys) -> None:
    measured = ("--val", str(place / "set"), "--val-truth", "--val-every", "1")
    weights, told = [], []
    for number, output in enumerate(("first", "shuffled")):
        write_images(place / "images", place / "truth", seed=number)
        trained = train(place, output, *measured)
        weights.append((trained / "model.safetensors").read_bytes())
        told.append([entry for entry in read_log(trained / "log.jsonl") if "validation" in entry])
    shutil.rmtree(place / "truth")
    monkeypatch.setattr("mbps_dataset.sources.files.FileFrame.truth", lambda _: pytest.fail("ground truth was read"))
    weights.append((train(place, "removed") / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]
    assert len(told[0]) == 3  # it was there to be read
    (place / "truth").mkdir()
    write_images(place / "images", place / "truth")


def test_an_interrupted_command_goes_on_and_other_settings_do_not(place, capsys) -> None:
    output = train(place, "again", "--checkpoint-every", "1")
    before = (output / "model.safetensors").read_bytes()
    (output / "model.safetensors").unlink()
    train(place, "again", "--checkpoint-every", "1")
    assert (output / "model.safetensors").read_bytes() == before
    again = ["train", "panoptic", str(place / "set"), "--output", str(output), *SHORT]
    assert main([*again, "--seed", "4"]) == 1
    assert "seed was 0 and is 4" in capsys.readouterr().err


def test_a_dry_run_measures_and_writes_nothing(place, capsys) -> None:
    train(place, "dry", "--dry-run")
    said = capsys.readouterr().out
    assert "3 images, 19 classes, things: person" in said and "DensePanoptic, 1.4 M parameters" in said
    assert "crop = 32,64" in said and "One step takes" in said and "GB of memory on cpu; 3 steps about" in said
    assert not (place / "dry").exists()


@pytest.mark.parametrize(("more", "said"), [
    (["--limit", "1"], "has 1 image; a network would only learn to repeat it"),
    (["--set", "croq=3"], "Unknown setting 'croq'; write SETTING=VALUE with one of steps, batch_size, crop, "),
    (["--set", "steps"], "Unknown setting 'steps'; write SETTING=VALUE"),
    (["--set", "crop=3"], r"crop must be two numbers, height and width, or none, but is (3,)"),
    (["--val-truth"], "--val-truth is about the set of --val; give it too"),
    (["--source", "folder"], "--source says what lies in --data-dir; give it too"),
    (["--fresh-heads"], "--fresh-heads is about the weights of --start; give them too"),
    (["--few", "1"], "--few says what few labels give, so it has to be measured; give --val too"),
    (["--few", "2", "--val", "SET"], "3 disjoint subsets of 2 images need 6, but the set has 3; take at most 1 a subset"),
    (["--set", "network.croq=3"], "Unknown setting 'network.croq'; write network.SETTING=VALUE with one of widths"),
    (["--set", "network.thing_threshold=3"], "thing_threshold must be between 0 and 1, but is 3.0"),
    (["--backbone", "x/y"], "--backbone is for --network mask2former or cascade; the dense network has none"),
    (["--start", "w", "--network", "mask2former"], "--start goes on with the network that it names"),
    (["--split", "test"], "no split 'test'; there is train, validation"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_written(place, more, said, capsys) -> None:
    more = [str(place / "set") if each == "SET" else each for each in more]
    command = ["train", "panoptic", str(place / "set"), "--output", str(place / "none"), *SHORT, *more]
    assert main(command) == 1
    assert said in capsys.readouterr().err and not (place / "none").exists()


def test_sets_whose_classes_differ(place, capsys) -> None:
    random_label_set(place / "clusters", named=False)
    more = ["--val", str(place / "clusters"), "--data-dir", str(place / "images")]
    assert main(["train", "panoptic", str(place / "set"), "--output", str(place / "none"), *SHORT, *more]) == 1
    assert "Classes differ: class 0 is 'road' in" in capsys.readouterr().err


def test_settings_may_be_none(place) -> None:
    output = train(place, "whole", "--set", "crop=none", "--set", "copy_paste=true", "--learning-rate", "0.01")
    settings = json.loads((output / "training.json").read_text())["settings"]
    assert settings["crop"] == [] and settings["copy_paste"] and settings["learning_rate"] == 0.01


def test_few_labels_are_measured_with_spread(place, capsys) -> None:
    output = train(place, "few", "--few", "1", "--val", str(place / "set"))
    told = json.loads((output / "subsets.json").read_text())
    assert told["images"] == 1 and len(told["each"]) == 3 and set(told["measured"]["pq"]) == {"mean", "deviation"}
    assert "over 3 subsets of 1 images" in capsys.readouterr().out
    digests = {panoptic_digest(output / f"subset-{k}") for k in range(3)}
    assert len(digests) == 3 and load_panoptic(output / "subset-0").record.learned_from.images == 1


def test_other_classes_get_fresh_heads_on_the_same_body(place, capsys) -> None:
    random_label_set(place / "clusters", named=False)
    body = train(place, "body")
    command = [
        "train",
        "panoptic",
        str(place / "clusters"),
        "--data-dir",
        str(place / "images"),
        *SHORT,
        "--start",
        str(body),
    ]
    assert main([*command, "--output", str(place / "none")]) == 1
    assert "Classes differ" in capsys.readouterr().err
    more = ["--fresh-heads", "--set", "trained=heads", "--set", "network.min_thing_area=7"]
    assert main([*command, "--output", str(place / "heads"), *more]) == 0
    before, after = load_panoptic(body), load_panoptic(place / "heads")
    assert after.class_names[0] == "pseudo-class 0" and after.config.min_thing_area == 7
    states = before.state_dict(), after.state_dict()
    assert all(states[0][name].equal(states[1][name]) for name in states[0] if name.startswith(("encoder", "decoder")))
    assert not states[0]["offset_head.weight"].equal(states[1]["offset_head.weight"])


def test_a_folder_of_something_else_is_left_alone(place, capsys) -> None:
    assert main(["train", "panoptic", str(place / "set"), "--output", str(place / "images"), *SHORT]) == 1
    assert "images is not empty and holds no training; choose an empty folder" in capsys.readouterr().err
    assert not (place / "images/config.json").exists()
