"""The Python of the README that is marked as run, run as it stands there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest


README = Path(__file__).parent.parent / "README.md"
MARKED = re.compile(r"<!-- run: (\w+) -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> dict[str, str]:
    return dict(MARKED.findall(README.read_text(encoding="utf-8")))


@pytest.fixture
def run(built, tmp_path, monkeypatch):
    """Runs a marked block in a folder where ``build/demo`` is a label set; returns its names."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/demo").symlink_to(built.root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def execute(name: str) -> dict:
        names: dict = {"__name__": "__readme__"}
        exec(compile(blocks()[name], f"README.md: {name}", "exec"), names)
        return names

    return execute


def test_every_marked_block_has_a_test():
    assert set(blocks()) == {"mask2former", "pytorch", "query"}


def test_mask2former_learns_from_rows_as_they_are(run, built):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    names = run("mask2former")
    rows = list(built.rows("train"))[:2]
    batch = names["batch"]
    for row, masks, classes in zip(rows, batch["mask_labels"], batch["class_labels"]):
        assert masks.shape == (len(classes), 128, 256) and set(masks.unique().tolist()) == {0.0, 1.0}
        kept = [s["category_id"] for s in sorted(row.segments, key=lambda s: s["id"])]
        if row.panoptic.shape == (128, 256):  # nothing was resized away: every segment, its class and its pixels
            assert classes.tolist() == kept
            assert masks.flatten(1).sum(1).tolist() == [s["area"] for s in sorted(row.segments, key=lambda s: s["id"])]
            assert np.array_equal(masks.sum(0).numpy() == 0, row.panoptic == 0)
        else:
            assert not Counter(classes.tolist()) - Counter(kept)
    assert torch.isfinite(names["loss"]) and names["loss"] > 0
    gradient = names["model"].class_predictor.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0
    assert names["model"].config.num_labels == len(built.calibration.classes) == len(names["names"])


def test_plain_pytorch_gets_images_and_maps(run, built):
    torch = pytest.importorskip("torch")
    batch = run("pytorch")["batch"]
    rows = {row.image.tobytes(): row for row in built.rows("train")}
    assert batch["image"].shape == (2, 3, 128, 256) and batch["image"].max() <= 1
    for k in range(2):
        row = rows[(batch["image"][k] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8).tobytes()]
        for column in ("semantic", "instance", "depth"):
            assert np.array_equal(batch[column][k].numpy(), getattr(row, column))
    scores = torch.zeros(2, len(built.calibration.classes), 128, 256)
    loss = torch.nn.functional.cross_entropy(scores, batch["semantic"], ignore_index=255)
    assert loss == pytest.approx(np.log(len(built.calibration.classes)), rel=1e-5)


def test_queries_count_what_the_rows_hold(run, built):
    pytest.importorskip("duckdb")
    pytest.importorskip("pandas")
    names = run("query")
    things = [s for row in built.rows("train") for s in row.segments if s["isthing"]]
    assert names["largest"]["area"].tolist() == sorted((s["area"] for s in things), reverse=True)[:10]
    everything = things + [s for row in built.rows("validation") for s in row.segments if s["isthing"]]
    counted = Counter(s["category_id"] for s in everything)
    assert names["per_class"]["count"].to_dict() == dict(counted)
    area = np.median([s["area"] for s in everything if s["category_id"] == min(counted)])
    assert names["per_class"]["area"][min(counted)] == area
