"""The measurement of moving objects: what counts as found and as false, and a run on two tiny scenes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from builder_scripts import measure_motion
from builder_scripts.measure_motion import Tally, true_motion, what_moves
from mbps_dataset.scenes import SceneSettings
from mbps_dataset.sources.rendered import TRAINING_SEEDS, SceneFrame, ScenesSource


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")


def square(top: int, left: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((40, 60), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_things_are_found_by_their_best_object_and_objects_off_them_are_false():
    tally = Tally()
    moving = [square(0, 0), square(20, 20), square(0, 40)]
    found = [square(0, 2), square(20, 28), square(30, 0)]  # IoU 80 / 120; 20 / 180, and mostly beside; nowhere
    tally.add(found, moving, [True, True, False], static=False)
    tally.add([], [], [], static=False)
    tally.add([square(0, 0)], [], [], static=True)
    assert tally.overlaps == [pytest.approx(80 / 120), pytest.approx(20 / 180)]
    assert tally.false_moving == [2, 0] and tally.false_static == [1]
    assert tally.row("x") == "| x | 1 of 2 (50%) | 0.67 | 2 in 2 (1.00) | 1 in 1 (1.00) |"
    assert "0 of 0 (0%)" in Tally().row("x")


def test_its_scenes_are_no_others():
    used = {int(frame.image_id[-7:]) for split in ("train", "validation") for frame in ScenesSource().frames(split)}
    assert not used & set(measure_motion.UNSEEN_SEEDS) and not set(TRAINING_SEEDS) & set(measure_motion.UNSEEN_SEEDS)


def test_what_counts_is_large_near_and_moves():
    size = SceneSettings(height=192, width=384)
    masks, counted = what_moves(SceneFrame("a", 2_000_001, size))
    assert masks and all(mask.sum() >= 600 for mask, counts in zip(masks, counted) if counts)
    assert what_moves(SceneFrame("a", 2_000_001, size, things_move=False)) == ([], [])
    assert true_motion(SceneFrame("a", 2_000_001, size)).flow_forward.shape == (2, 192, 384)


def test_a_run_prints_both_tables_and_draws(tmp_path, monkeypatch, capsys):
    arguments = ["--scenes", "1", "--static", "1", "--height", "128", "--width", "256", "--methods", "independent"]
    monkeypatch.setattr(sys, "argv", ["measure_motion.py", *arguments, "--pictures", str(tmp_path)])
    measure_motion.main()
    printed = capsys.readouterr().out
    for name in ("estimated", "true"):
        assert f"| independent, {name} flow |" in printed and f"| objects: independent, {name} flow |" in printed
    assert "false objects" in printed and "| seconds for a frame pair of 256x128" in printed
    assert len(list(tmp_path.glob("*.png"))) == 2
