"""One way to say how far a job is: a bar on a terminal, and a line per tenth where the output goes to a file (ours).

A log, a cluster job or a pipe cannot redraw a bar, and saying nothing there looks like a job that hangs. The clock of a
bar starts with its first item, so that a stage that waits for others does not look slow.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm


Item = TypeVar("Item")


class _Bar(tqdm):  # type: ignore[type-arg]  # not generic when Python runs
    """A bar whose clock stands at 0 until `begin`."""

    begun = False

    def begin(self, seconds: float) -> None:
        self.start_t = self.last_print_t = time.time() - seconds
        self.begun = True

    @property
    def format_dict(self) -> dict[str, Any]:
        shown = dict(super().format_dict)
        return shown if self.begun else {**shown, "elapsed": 0}


class ProgressBar:
    """Progress of `total` items, `done` of them before; a context manager, on standard error, silent without `show`.

    >>> with ProgressBar("depth", 2, show=False) as bar:
    ...     bar.update()
    """

    def __init__(self, title: str, total: int, *, done: int = 0, unit: str = "img", show: bool = True) -> None:
        self.title, self.total, self.done = title, total, done
        self._show, self._bar, self._began_with, self._start = show, None, done, 0.0
        if show and sys.stderr.isatty():
            self._bar = _Bar(total=total, initial=done, desc=f"{title:>27}", unit=unit, disable=False)

    def update(self, seconds: float = 0.0) -> None:
        """One more item, which took so many seconds; the first one sets the clock."""
        first = self.done == self._began_with
        self.done += 1
        if self._bar is not None:
            if first:
                self._bar.begin(seconds)
            self._bar.update()
        elif self._show:
            if first:
                self._start = time.monotonic() - seconds
                print(f"{self.title}: {self._began_with} of {self.total}", file=sys.stderr, flush=True)
            if self.done * 10 // self.total > (self.done - 1) * 10 // self.total:
                self._print_line()

    def _print_line(self) -> None:
        took = time.monotonic() - self._start
        left = took * (self.total - self.done) / (self.done - self._began_with)
        clock = f"{took:.0f} s" + (f", about {left:.0f} s left" if self.done < self.total else "")
        print(f"{self.title}: {self.done} of {self.total}, {clock}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def followed(items: Iterable[Item], title: str, *, show: bool = True) -> Iterator[Item]:
    """`items`, whose number is known, with their progress."""
    total = len(items) if isinstance(items, Sized) else 0
    with ProgressBar(title, total, show=show and total > 0) as bar:
        for item in items:
            yield item
            bar.update()
