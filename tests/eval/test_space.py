"""The Space of the metric: its page's function, its card, and the numbers its card states."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mbps_dataset.metrics import CONVENTIONS, PanopticQuality
from tests.metrics import golden


SPACE = Path(__file__).parents[2] / "eval" / "hungarian_pq"
CARD = (SPACE / "README.md").read_text(encoding="utf-8")
CASES = {  # first words of a row of the card's table -> golden one-image case
    "60 % of the only": "a_abstain_60pct_of_stuff",
    "one of two cars": "b_abstain_on_one_of_two_cars",
    "the same car": "b2_miss_one_of_two_cars",
    "a *group* of cars": "c_group_region",
    "a group of cars": "c2_group_region_missed",
    "false car, 55 %": "g2_void_share_55",
    "road predicted correctly": "j_prediction_spills_into_void",
    "a 9-pixel person": "n2_tiny_segments_missed",
    "nothing predicted": "r_prediction_all_void",
}


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("hungarian_pq_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def maps(tmp_path: Path) -> list[str]:
    image = golden.load("02_permuted19").images[0]
    paths = []
    for name in ("true_semantic", "true_instance"):
        paths.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(image[name].astype(np.uint16 if "instance" in name else np.uint8)).save(paths[-1])
    return paths


def test_page_scores_uploaded_maps(app, maps: list[str]) -> None:
    table, numbers = app.score(*maps, *maps, convention="cups")
    assert table.startswith("PQ 100.00 on 1 images") and numbers["pq"] == 1.0 and numbers["convention"] == "cups"
    table, numbers = app.score(maps[0], None, *maps)
    assert 0 < numbers["pq"] < 1 and "road" in table


def test_page_says_what_is_wrong(app, maps: list[str]) -> None:
    assert app.score(None, None, *maps) == ("Upload a semantic map for the prediction and for the ground truth.", {})
    small = maps[0].replace("true", "small")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(small)
    text, numbers = app.score(small, None, *maps)
    assert "to share (H, W)" in text and numbers == {}


def test_page_builds(app) -> None:
    pytest.importorskip("gradio")
    assert app.build_app() is not None


def test_card_names_what_a_space_needs() -> None:
    header = yaml.safe_load(CARD.split("---")[1])
    assert header["sdk"] == "gradio" and (SPACE / header["app_file"]).is_file() and "metric" in header["tags"]
    assert "mbps-dataset" in (SPACE / "requirements.txt").read_text()


@pytest.mark.parametrize("start", CASES)
def test_table_of_disagreements_is_what_the_metric_says(start: str) -> None:
    row = next(line for line in CARD.splitlines() if line.startswith(f"| {start}"))
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    folder = golden.FOLDER / "20_micro_cases"
    with np.load(folder / "inputs.npz") as arrays:
        maps = {key.split("/")[1]: arrays[key] for key in arrays.files if key.split("/")[0] == CASES[start]}
    for convention, cell in zip(CONVENTIONS, cells, strict=True):
        metric = PanopticQuality(range(11, 19), range(11), convention=convention, report_hw=None)
        metric.update(
            maps["pred_sem"], maps["pred_inst"], maps["gt_sem"], maps["gt_inst"], true_crowd=maps.get("gt_crowd")
        )
        result = metric.compute()
        value, counts = re.fullmatch(r"\**([\d.]+|undefined)\**(?: \((\d+/\d+/\d+)\))?", cell).groups()
        if value == "undefined":
            assert np.isnan(result.pq)
        else:
            assert 100 * result.pq == pytest.approx(float(value), abs=0.051)
        if counts:
            sums = [sum(row[kind] for row in result.per_class.values()) for kind in ("tp", "fp", "fn")]
            assert counts == "/".join(map(str, sums))
