"""The curve of a training as a picture: its losses over the steps, and what was measured, drawn from the log.

Drawn with Pillow (ours), as the pictures of a label set are: no plotting library is needed. The losses stand on a
logarithmic scale, since they fall by factors; what was measured goes from 0 to 1.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mbps_dataset.store import write_atomically


_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = (900, 420), 70, 200, 30, 50
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_COLOURS = ((31, 90, 160), (214, 96, 30), (40, 140, 70), (180, 50, 120), (110, 90, 180), (140, 110, 40), (90, 90, 90))
_LEAST_SHOWN = 1e-6
"""Least value that a logarithmic axis shows."""

Series = Mapping[str, Sequence[tuple[int, float]]]


class _Frame(NamedTuple):
    """Where a panel lies, and what its edges stand for."""

    top: int
    bottom: int
    steps: int
    low: float
    high: float
    logarithmic: bool

    def place(self, step: float, value: float) -> tuple[float, float]:
        """Pixel of a value at a step."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = (math.log(each) for each in (low, high, value))
        share = (value - low) / (high - low)
        width = _SIZE[0] - _LEFT - _RIGHT
        return _LEFT + width * step / max(self.steps, 1), self.bottom - (self.bottom - self.top) * share


def draw_curve(entries: Sequence[Mapping[str, Any]], path: Path | None = None) -> Image.Image:
    """The picture of a log's lines (see `log.read_log`), also written to `path` as PNG. Raises `StoreError`."""
    losses, measured = loss_series(entries), measured_series(entries)
    height = _SIZE[1] * (2 if measured else 1)
    canvas = Image.new("RGB", (_SIZE[0], height), "white")
    steps = max((entry["step"] for entry in entries), default=1)
    values = [value for points in losses.values() for _, value in points if value > 0]
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    low, high = max(low, _LEAST_SHOWN) / 1.2, max(high, _LEAST_SHOWN) * 1.2
    _panel(canvas, _Frame(_TOP, _SIZE[1] - _BOTTOM, steps, low, high, True), "losses", losses)
    if measured:
        top = _SIZE[1]
        _panel(canvas, _Frame(top + _TOP, top + _SIZE[1] - _BOTTOM, steps, 0, 1, False), "measured", measured)
    if path is not None:
        buffer = io.BytesIO()
        canvas.save(buffer, "PNG")
        write_atomically(path, buffer.getvalue())
    return canvas


def loss_series(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """``{name: [(step, mean since the line before)]}`` of the sum, "loss", and of its parts."""
    series: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        if "loss" in entry:
            for name, value in {"loss": entry["loss"], **entry["losses"]}.items():
                series.setdefault(name, []).append((entry["step"], value))
    return series


def measured_series(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """``{name: [(step, value)]}`` of those measures that lie between 0 and 1; the others are in the log alone."""
    series: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        for name, value in entry.get("validation", {}).items():
            if 0 <= value <= 1:
                series.setdefault(name, []).append((entry["step"], value))
    return series


def _panel(canvas: Image.Image, frame: _Frame, title: str, series: Series) -> None:
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    right = _SIZE[0] - _RIGHT
    draw.text((_LEFT, frame.top - 20), title, fill=_INK, font=font)
    for value in _ticks(frame):
        y = frame.place(0, value)[1]
        draw.line([(_LEFT, y), (right, y)], fill=_GRID)
        draw.text((8, y - 6), f"{value:.3g}", fill=_INK, font=font)
    for step in np.unique(np.linspace(0, frame.steps, 6).round().astype(int)).tolist():
        x = frame.place(step, frame.low)[0]
        draw.text((x - 10, frame.bottom + 8), str(step), fill=_INK, font=font)
    draw.text(((_LEFT + right) // 2, frame.bottom + 26), "step", fill=_INK, font=font)
    for number, (name, points) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        pixels = [frame.place(step, value) for step, value in points]
        if len(pixels) > 1:
            draw.line(pixels, fill=colour, width=3 if name == "loss" else 2)
        for x, y in pixels if len(pixels) < 40 else ():
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
        y = frame.top + 16 * number
        draw.rectangle([right + 14, y + 3, right + 26, y + 8], fill=colour)
        draw.text((right + 32, y), f"{name} {points[-1][1]:.4g}", fill=_INK, font=font)
    draw.rectangle([_LEFT, frame.top, right, frame.bottom], outline=_INK)


def _ticks(frame: _Frame) -> list[float]:
    if frame.logarithmic:
        return [float(value) for value in np.geomspace(frame.low, frame.high, 5)]
    return [float(value) for value in np.linspace(frame.low, frame.high, 5)]
