"""The report page in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.report_page import SplitStatistics, render_page, write_preview


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_statistics_count_pixels_instances_and_depth(built):
    statistics = SplitStatistics(len(built.calibration.classes))
    rows = list(built.rows("train"))
    for row in rows:
        statistics.add(row)
    assert statistics.pixels.sum() == sum(row.semantic.size for row in rows)
    assert statistics.instances == [int(row.instance.max()) for row in rows]
    assert 0 < statistics.depth.sum() <= sum(row.depth.size for row in rows)


def test_names_from_files_cannot_inject_markup(built):
    name = '<img src=x onerror="alert(1)">'
    document = dict(built.document, failures=[{"image_id": name, "stage": "image", "reason": "<script>"}])
    blank = np.zeros((8, 16, 3), np.uint8)
    statistics = SplitStatistics(len(built.calibration.classes))
    page = render_page(document, "train", [{"photo": blank}], [name], statistics, built.calibration.palette(), False)
    assert name not in page and "&lt;script&gt;" in page


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_page_draws_and_the_slider_fades(built, tmp_path: Path):
    _, page = write_preview(built, "validation", 2)
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
            [str(BROWSER), *options, profile, *arguments], capture_output=True, text=True, timeout=120
        )

    dom = browse("--dump-dom", moved.as_uri()).stdout
    assert dom.count('style="opacity: 0.2;"') == dom.count('class="over"') > 0
    browse(f"--screenshot={tmp_path / 'page.png'}", page.as_uri())
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert shot.shape[1] == 1400 and len(np.unique(shot.reshape(-1, 3), axis=0)) > 500
