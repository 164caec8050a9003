"""One progress bar per training, with the losses smoothed beside it.

The bar starts where a resumed run stands, goes to standard error as tqdm's do, and when that is no terminal (a log
file, a cluster job) prints a line now and then instead of redrawing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import TracebackType

from tqdm import tqdm


class TrainingProgress:
    """Iterate over the steps still to do and report losses.

    >>> with TrainingProgress("depth", start=10, stop=12, show=False) as progress:
    ...     for step in progress:
    ...         progress.report({"loss": 0.5})
    >>> progress.smoothed
    {'loss': 0.5}
    """

    def __init__(
        self,
        description: str,
        *,
        start: int,
        stop: int,
        show: bool = True,
        smoothing: float = 0.95,
        log_s: float = 30.0,
    ) -> None:
        terminal = sys.stderr.isatty()
        self.start, self.stop, self.smoothing = start, stop, smoothing
        self.smoothed: dict[str, float] = {}
        self._bar = tqdm(
            total=stop, initial=min(start, stop), desc=description, unit="step", disable=not show,
            mininterval=0.5 if terminal else log_s, dynamic_ncols=terminal,
        )  # fmt: skip

    def __iter__(self) -> Iterator[int]:
        for step in range(self.start, self.stop):
            yield step
            self._bar.update()

    def report(self, losses: Mapping[str, float]) -> None:
        """Take this step's losses into the running means shown beside the bar."""
        for name, value in losses.items():
            before = self.smoothed.get(name, value)
            self.smoothed[name] = self.smoothing * before + (1 - self.smoothing) * value
        text = " ".join(f"{name} {value:.4g}" for name, value in self.smoothed.items())
        self._bar.set_postfix_str(text, refresh=False)

    def tell(self, text: str) -> None:
        """A line above the bar, for what is measured now and then."""
        if not self._bar.disable:
            self._bar.write(text, file=sys.stderr)

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
