"""The report page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.hub.release import write_without
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.report.colouring import colouring_of
from mbps_dataset.report.page import Page, render_page, write_preview
from mbps_dataset.report.statistics import SplitStatistics
from mbps_dataset.scoring.score import score
from tests.formats.label_sets import random_label_set
from tests.tiny import write_photographs


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def page_of(built, document: dict | None = None, name: str = "x", quality: dict | None = None) -> str:
    blank = np.zeros((8, 16, 3), np.uint8)
    statistics = SplitStatistics(len(built.calibration.classes))
    for row in built.rows("train"):
        statistics.add(row)
    return render_page(
        Page(document or built.document, "train", [{"photo": blank}], [name], statistics, colouring_of(built.calibration),
             quality=quality)
    )  # fmt: skip


def test_names_from_files_cannot_inject_markup(built):
    name = '<img src=x onerror="alert(1)">'
    failures = [{"image_id": name, "stage": "image", "reason": "<script>"}]
    calibration = built.document["calibration"]
    classes = [dict(entry, reason="<b onclick=x>") for entry in calibration["classes"]]
    document = dict(built.document, failures=failures, calibration=dict(calibration, classes=classes))
    page = page_of(built, document, name)
    assert name not in page and "<b onclick" not in page and "&lt;script&gt;" in page


def test_things_say_why_they_are_things(built):
    page = page_of(built)
    for entry in built.document["calibration"]["classes"]:
        assert entry["reason"] and f"<td>{entry['reason']}</td>" in page
        if entry["ratio"] is not None:
            assert f'<td class="number">{entry["ratio"]:.3f}</td>' in page
    assert page.count("<td><b>thing</b></td>") == len(built.calibration.things)


@pytest.mark.parametrize("source", ["folder", "scenes"])
def test_the_page_says_at_its_top_that_the_networks_saw_rendered_scenes_only(built, source):
    statement = {"depth network": dict(get_recipe("demo").supervision)["depth network"]}
    page = page_of(built, dict(built.document, source={"name": source}, supervision=statement))
    top = page.partition('<div class="facts">')[0]
    assert ("The networks of this recipe saw rendered scenes only in training" in top) == (source == "folder")


def test_quality_is_shown_where_there_is_truth_and_said_where_there_is_none(built, tmp_path):
    written = write_preview(built, "validation", 1)
    text = written.page.read_text(encoding="utf-8")
    assert "2 images with ground truth, 19 classes, convention <b>coco</b>, matching <b>hungarian</b>" in text
    assert "Pseudo-classes were paired with classes for scoring only" in text and "<th>scored as</th>" in text
    assert "<td>road</td><td>stuff</td>" in text and "PQ (coco)" in text
    assert "<th>drawn as</th>" in text and "overlap most in the images shown" in text
    assert "semantic; colour: true class it overlaps most" in text
    assert "scored; colour: class it is paired with" in text
    paired = score(built.root, splits=("validation",)).result.assignment
    for pseudo_class, class_id in paired.items():
        named = re.search(rf"</i>pseudo-class {pseudo_class}</td>.*?</tr>", text)
        assert named and f"</i>{taxonomy.NAMES_19[class_id]}</td>" in named[0]


def test_truth_that_has_moved_is_not_called_missing(built, tmp_path):
    bare = random_label_set(tmp_path / "set")
    bare.document["source"] = {"name": "folder", "data_dir": str(tmp_path / "gone")}
    written = write_preview(bare, "validation", 1)
    text = written.page.read_text(encoding="utf-8")
    assert written.fault.startswith(f"{tmp_path / 'gone'} does not exist") and "ground truth was found" not in text
    assert f"Whether there is ground truth is not known: {tmp_path / 'gone'} does not exist" in text
    (bare.root / "quality.json").write_text(
        json.dumps(score(built.root, splits=("validation",)).to_dict() | {"identity": bare.document["identity"]})
    )
    text = write_preview(bare, "validation", 1).page.read_text(encoding="utf-8")
    assert f"This score was taken earlier; now it could not be: {tmp_path / 'gone'}" in text and "PQ (coco)" in text


def test_a_set_of_photos_without_truth_says_that_none_was_found(tmp_path):
    write_photographs(tmp_path / "photos", 1)
    bare = random_label_set(tmp_path / "set")
    bare.document["source"] = {"name": "folder", "data_dir": str(tmp_path / "photos")}
    bare.document["splits"] = ["train"]
    text = write_preview(bare, "train", 1).page.read_text(encoding="utf-8")
    assert "No ground truth was found for this split" in text and "mbps preview --truth" in text
    assert "PQ (" not in text and "scored as" not in text


def test_a_set_without_images_shows_those_of_its_source_or_none(built, tmp_path):
    def stripped(document: dict) -> LabelSetFolder:
        (tmp_path / "set/data").mkdir(parents=True, exist_ok=True)
        for path in built.files("validation"):
            write_without(["image"], path, tmp_path / "set/data" / path.name)
        write_document(tmp_path / "set/labelset.json", document)
        return LabelSetFolder(tmp_path / "set")

    photos = re.compile(r"alt=.photo of")
    page = write_preview(stripped(built.document), "validation", 2).page
    assert len(photos.findall(page.read_text(encoding="utf-8"))) == 2
    moved = built.document | {"source": {"name": "folder", "data_dir": str(tmp_path / "moved")}}
    page = write_preview(stripped(moved), "validation", 2).page
    text = page.read_text(encoding="utf-8")
    assert not photos.findall(text) and "The images are not at hand" in text and 'class="over"' not in text
    assert text.count("<figure>") == 2 * 4


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_page_draws_and_the_slider_fades(built, tmp_path: Path):
    page = write_preview(built, "validation", 2).page
    text = page.read_text(encoding="utf-8")
    moved = tmp_path / "moved.html"
    moved.write_text(text.replace("</body>", "<script>fade.value=20;fade.oninput();</script></body>"))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1400,1200",
    ]

    def browse(*arguments: str) -> subprocess.CompletedProcess[str]:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        return subprocess.run(
            [str(BROWSER), *options, profile, *arguments], capture_output=True, text=True, timeout=1500
        )

    dom = browse("--dump-dom", moved.as_uri()).stdout
    assert dom.count('style="opacity: 0.2;"') == dom.count('class="over"') > 0
    assert "<output>20 %</output>" in dom
    browse(f"--screenshot={tmp_path / 'page.png'}", page.as_uri())
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert shot.shape[1] == 1400 and len(np.unique(shot.reshape(-1, 3), axis=0)) > 500
