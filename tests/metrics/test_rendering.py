from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from mbps_dataset.metrics import PanopticQuality, bar_chart_svg, format_bars, format_table


def result(**options):
    metric = PanopticQuality((1,), (0, 2, 3), matching="hungarian", convention="cups")
    metric.update(np.array([[5, 5, 5, 6, 7]]), None, np.array([[0, 0, 0, 1, 1]]), None)
    return metric.compute(**options)


def test_table_names_convention_classes_and_what_is_undefined() -> None:
    text = format_table(result(bootstrap=20), class_names=["road", "car & van", "sky", "lake"])
    lines = text.splitlines()
    assert lines[0] == "PQ 33.33 on 1 images, 3 classes; convention cups, matching hungarian"
    assert "pq between 33.33 and 33.33" in text
    assert "undetermined pseudo-classes: 6, 7" in text
    road = next(line.split() for line in lines if line.startswith("road"))
    assert road == ["road", "100.00", "100.00", "100.00", "100.00", "1", "0", "0"]
    lake = next(line.split() for line in lines if line.startswith("lake"))
    assert lake[1] == "-"


def test_names_may_be_missing() -> None:
    assert "\n0        " in format_table(result()) and "\nroad " in format_table(result(), class_names={0: "road"})


def test_bars_are_as_long_as_pq() -> None:
    lines = format_bars(result(), class_names=["road", "car", "sky", "lake"], width=10).splitlines()
    assert lines[0].count("█") == 10 and lines[1].count("█") == 0 and lines[3].endswith("-")


def test_chart_is_xml_with_a_bar_per_class() -> None:
    svg = bar_chart_svg(result(), class_names=["road", "car & van", "sky", "lake"], colours={0: (128, 64, 128)})
    root = ElementTree.fromstring(svg)
    bars = [item for item in root.iter("{http://www.w3.org/2000/svg}rect") if item.get("x")]
    assert [bar.get("width") for bar in bars] == ["400.0", "0.0", "0.0", "0.0"]
    assert bars[0].get("fill") == "rgb(128,64,128)"
    assert any(text.text == "car & van" for text in root.iter("{http://www.w3.org/2000/svg}text"))
