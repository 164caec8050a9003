"""The curve is drawn of what the log holds: a line a loss, falling where the loss falls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset.training.panoptic.curve import _COLOURS, draw_curve, loss_series, measured_series


ENTRIES = [
    {"step": 10, "loss": 3.0, "losses": {"classes": 2.0, "things": 1.0}, "gradient": 1.0},
    {"step": 20, "loss": 0.3, "losses": {"classes": 0.2, "things": 0.1}, "gradient": 1.0},
    {"step": 20, "validation": {"pq": 0.25, "cars": 12.0}},
    {"step": 40, "loss": 0.03, "losses": {"classes": 0.02, "things": 0.0}, "gradient": 1.0},
]


def rows_of(picture: np.ndarray, colour: tuple[int, ...], columns: slice) -> np.ndarray:
    return np.flatnonzero((picture[:, columns] == colour).all(-1).any(1))


def test_series() -> None:
    assert loss_series(ENTRIES)["classes"] == [(10, 2.0), (20, 0.2), (40, 0.02)]
    assert measured_series(ENTRIES) == {"pq": [(20, 0.25)]}


def test_a_falling_loss_falls(tmp_path: Path) -> None:
    draw_curve(ENTRIES, tmp_path / "curve.png")
    picture = np.asarray(Image.open(tmp_path / "curve.png"))
    assert picture.shape == (840, 900, 3)
    early, late = rows_of(picture, _COLOURS[0], slice(220, 235)), rows_of(picture, _COLOURS[0], slice(680, 699))
    assert early.size and late.size and early.mean() < late[late < 420].mean()


def test_an_empty_log_and_one_without_measures_have_a_picture() -> None:
    assert draw_curve([]).size == (900, 420) and draw_curve(ENTRIES[:1]).size == (900, 420)
