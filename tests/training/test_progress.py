"""The bar counts from where a run stands and smooths what it shows."""

from __future__ import annotations

import pytest

from mbps_dataset.training.progress import TrainingProgress


def test_steps_start_where_the_run_stands() -> None:
    with TrainingProgress("x", start=3, stop=6, show=False) as progress:
        assert list(progress) == [3, 4, 5]


def test_finished_run_has_no_steps() -> None:
    with TrainingProgress("x", start=6, stop=6, show=False) as progress:
        assert list(progress) == []


def test_losses_are_smoothed() -> None:
    with TrainingProgress("x", start=0, stop=2, show=False, smoothing=0.75) as progress:
        progress.report({"loss": 1.0})
        progress.report({"loss": 3.0})
    assert progress.smoothed == {"loss": 1.5}


def test_bar_reports_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("semantics", start=0, stop=2, log_s=0.0) as progress:
        for _ in progress:
            progress.report({"loss": 0.25})
    shown = capsys.readouterr()
    assert "semantics" in shown.err and "loss 0.25" in shown.err and shown.out == ""


def test_what_is_measured_stands_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("x", start=0, stop=1) as progress:
        progress.tell("step 1: pq 0.250")
    with TrainingProgress("x", start=0, stop=1, show=False) as progress:
        progress.tell("not shown")
    assert "step 1: pq 0.250\n" in capsys.readouterr().err.replace("\r", "\n")
