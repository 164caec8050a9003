"""Drawings and the report page."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from mbps_dataset.report import pictures
from mbps_dataset.report.page import write_preview
from mbps_dataset.sources import Truth


def test_contact_sheet_holds_mixed_sizes():
    landscape = {"photo": np.zeros((50, 100, 3), np.uint8), "truth": np.zeros((50, 100, 3), np.uint8)}
    portrait = {"photo": np.full((100, 50, 3), 255, np.uint8)}
    sheet = pictures.contact_sheet([landscape, portrait], ["a", "b"], width=80)
    assert sheet.width == 2 * 88 + 8 and sheet.height > 40 + 80


def test_contact_sheet_says_what_its_colours_mean():
    blank = {"semantic": np.zeros((50, 100, 3), np.uint8)}
    legend = [pictures.LegendEntry("pseudo-class 0: looks like road", ((200, 10, 20), (10, 200, 30)))]
    plain = pictures.contact_sheet([blank], ["a"], width=600)
    told = pictures.contact_sheet(
        [blank], ["a"], width=600, subtitles={"semantic": "colour: its number"}, legend=legend
    )
    assert told.width == plain.width and told.height > plain.height + 20 + 20
    title, words = np.asarray(told)[34:52, :300], np.asarray(told)[-30:]
    assert (title < 200).any() and (np.asarray(plain)[-30:] != words).any()
    for colour in legend[0].colours:
        assert (words == colour).all(axis=-1).sum() > 150


def test_what_is_scored_is_a_picture_of_its_own(built):
    row = next(built.rows("validation"))
    palette = built.calibration.palette()
    scored = np.full_like(palette, 7)
    drawn = pictures.panels(row, None, palette, 255, scored)
    assert list(drawn) == ["photo", "semantic", "depth", "instances", "panoptic", "scored"]
    assert (drawn["scored"][row.semantic < 255] == 7).all()
    assert "scored" not in pictures.panels(row, None, palette, 255)


def test_depth_of_which_nothing_is_known_has_no_picture(built):
    row = next(built.rows("validation"))
    unknown = replace(row, depth=np.zeros_like(row.depth))
    assert "depth" not in pictures.panels(unknown, None, built.calibration.palette(), 255)


def test_truth_is_drawn_with_instance_borders():
    labels = np.full((4, 6), 26, np.uint8)
    instances = np.where(np.arange(6) < 3, 26000, 26001) * np.ones((4, 1), int)
    drawn = pictures.draw_truth(Truth(labels, instances.astype(np.int32)))
    assert drawn[0, 0].tolist() == [0, 0, 142] and drawn[0, 2].tolist() == [255, 255, 255]


class Tags(HTMLParser):
    """Collects tags and checks that they close."""

    VOID_TAGS = {"meta", "img", "input", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in self.VOID_TAGS:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_page_is_self_contained_and_complete(built):
    written = write_preview(built, "validation", 2)
    text = written.page.read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.stack == []
    assert tags.sources and all(source.startswith("data:image/webp;base64,") for source in tags.sources)
    assert "http://" not in text and "https://" not in text
    for heading in ("Pictures", "Quality", "Classes", "Instances per image", "Depth", "What each component saw",
                    "Images that could not be labelled"):  # fmt: skip
        assert f"<h2>{heading}" in text
    assert "for the eye only" in text
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", text).group(1))
    assert picture[:4] == b"RIFF"
    assert Image.open(written.sheet).width > 2000
