"""Naming clusters in the page: the data, a real browser that clicks, and the file that names the labels."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.report.naming import Nameable, can_be_named, cluster_merges, naming_data
from mbps_dataset.report.page import _ENVIRONMENT


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CENTROIDS = np.array([[1.0, 0, 0], [0.99, 0.1, 0], [0, 1, 0], [0, 0, 1]])


def calibration(**changed) -> Calibration:
    classes = tuple(ClassStatistics(f"pseudo-class {k}", False, None, None) for k in range(4))
    return replace(Calibration(classes, None, 1, (), CENTROIDS), **changed)


def picture(photo: bool = True) -> Nameable:
    clusters = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 30, axis=0), 40, axis=1)
    return Nameable("a/b", np.full((60, 80, 3), 120, np.uint8) if photo else None, clusters)


def data(**changed) -> dict:
    return naming_data(calibration(**changed), [picture()], taxonomy.pseudo_class_palette(4))


def test_the_most_alike_clusters_are_joined_first():
    assert cluster_merges(calibration())[0] == [0, 1] and len(cluster_merges(calibration())) == 3
    assert cluster_merges(calibration(centroids=None)) == []


def test_the_map_of_clusters_is_exact_and_the_classes_are_those_of_cityscapes():
    found = data()
    index = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["pictures"][0]["clusters"].partition(",")[2]))))
    assert index.shape == (360, 480) and (index[0, 0], index[0, -1], index[-1, 0], index[-1, -1]) == (0, 1, 2, 3)
    assert [each["name"] for each in found["classes"]] == list(taxonomy.NAMES_19) and found["clusters"] == 4
    assert found["made_for"] == calibration().clusters_digest != calibration(centroids=-CENTROIDS).clusters_digest
    assert (
        naming_data(calibration(), [picture(photo=False)], np.zeros((4, 3), np.uint8))["pictures"][0]["photo"] is None
    )


def test_only_unnamed_clusters_that_a_byte_holds_are_named():
    assert can_be_named({}, calibration()) and not can_be_named({}, calibration(cluster_to_class=(0, 1, 2, 255)))
    assert not can_be_named({}, calibration(classes=calibration().classes * 64))
    assert not can_be_named({"predicted": {}}, calibration())  # its network has the classes that it learned


def test_names_of_images_cannot_end_the_script():
    text = _ENVIRONMENT.get_template("naming.html").render(naming={"pictures": [{"name": "</script><b>"}]})
    assert "</script><b>" not in text


_CLICKS = """
<script>
const wait = setInterval(() => {
  if (document.body.dataset.naming !== "ready") return;
  clearInterval(wait);
  const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
  const click = (x, y) => canvas.dispatchEvent(new MouseEvent("click", {clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
  const choose = name => [...document.querySelectorAll("#naming-classes button")].find(each => each.textContent === name).click();
  let saved = null;
  URL.createObjectURL = blob => { saved = blob; return "#"; };
  choose("car"); click(.1, .9);                        // cluster 2
  choose("sky"); click(.9, .9);                        // cluster 3 …
  document.getElementById("naming-undo").click();      // … taken back
  document.getElementById("naming-groups").value = 3;
  choose("road"); click(.1, .1);                       // cluster 0, and 1 that is like it
  document.getElementById("naming-save").click();
  saved.text().then(text => { document.body.dataset.saved = text; });
}, 20);
</script>
"""


@pytest.mark.nightly
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_clicks_name_a_cluster_and_those_grouped_with_it(tmp_path):
    body = _ENVIRONMENT.get_template("naming.html").render(naming=data())
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html><body>{body}{_CLICKS}</body></html>", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--window-size=1000,900"]
    command = [str(BROWSER), *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=600).stdout
    saved = re.search(r'data-saved="([^"]*)"', dom)
    assert saved is not None, dom[-2000:]
    found = json.loads(saved[1].replace("&quot;", '"'))
    assert found == {"cluster_to_class": [0, 0, 13, 255], "made_for": calibration().clusters_digest}
    assert "3 of 4 clusters named, 75.0 % of the pixels shown" in dom
