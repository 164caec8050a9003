"""How progress looks on a terminal and in a log."""

from __future__ import annotations

import io
import sys

from mbps_dataset.store.progress import ProgressBar, followed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def counted(text: str, title: str) -> list[str]:
    """What stands after a title, up to the comma."""
    return [line.split(": ")[1].split(",")[0] for line in text.splitlines() if line.startswith(f"{title}: ")]


def test_a_log_gets_a_line_at_the_start_and_per_tenth(capsys):
    with ProgressBar("depth (train)", 200) as bar:
        assert capsys.readouterr().err == ""  # a stage that has not begun says nothing
        for _ in range(200):
            bar.update()
    told = capsys.readouterr()
    assert told.out == "" and "\r" not in told.err
    assert counted(told.err, "depth (train)") == [f"{k} of 200" for k in range(0, 201, 20)]


def test_few_items_get_a_line_each_and_resumed_ones_go_on(capsys):
    assert list(followed([7, 8, 9], "scoring")) == [7, 8, 9]
    assert counted(capsys.readouterr().err, "scoring") == ["0 of 3", "1 of 3", "2 of 3", "3 of 3"]
    with ProgressBar("rows", 20, done=15) as bar:
        for _ in range(5):
            bar.update()
    assert counted(capsys.readouterr().err, "rows") == ["15 of 20", "16 of 20", "18 of 20", "20 of 20"]


def test_time_left_is_that_of_this_run(capsys, monkeypatch):
    monkeypatch.setattr("mbps_dataset.store.progress.time.monotonic", lambda: 7000.0)
    with ProgressBar("rows", 40, done=20) as bar:
        for _ in range(8):
            bar.update(seconds=100.0)  # only the first sets the clock: workers run side by side
    assert capsys.readouterr().err.splitlines()[-1] == "rows: 28 of 40, 100 s, about 150 s left"


def test_silent_if_not_asked_for_and_where_the_number_is_unknown(monkeypatch, capsys):
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(followed(range(3), "x", show=False)) == [0, 1, 2]
        assert list(followed(iter(range(3)), "x")) == [0, 1, 2]
        assert stream.getvalue() == ""


def test_the_clock_of_a_bar_starts_with_its_first_item(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with ProgressBar("depth", 4, done=1) as bar:
        assert bar._bar is not None
        bar._bar.start_t -= 10_000  # the stage waits for others
        assert bar._bar.format_dict["elapsed"] == 0
        bar.update(seconds=50.0)
        assert 50 <= bar._bar.format_dict["elapsed"] < 5_000
        assert bar._bar.n == 2
    assert "depth" in sys.stderr.getvalue() and "2/4" in sys.stderr.getvalue()
