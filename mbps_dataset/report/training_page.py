"""The page of a training: its curve, what was measured, how it was done and what it learned from, in one HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mbps_dataset.models.panoptic.record import TrainingRecord
from mbps_dataset.settings import as_typed
from mbps_dataset.store import write_atomically
from mbps_dataset.training.panoptic.curve import draw_curve
from mbps_dataset.training.panoptic.log import NAME, read_log


PAGE = "training.html"

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}
img{max-width:100%;border:1px solid #ddd}table{border-collapse:collapse;margin:.5rem 0}
td,th{border:1px solid #ddd;padding:.2rem .6rem;text-align:left;vertical-align:top}td.n{text-align:right}"""


def write_training_page(folder: Path, record: TrainingRecord) -> Path:
    """Write ``training.html`` into the folder of a training, from its log; returns the file. Raises `StoreError`."""
    page = folder / PAGE
    write_atomically(page, render(read_log(folder / NAME), record).encode())
    return page


def render(entries: Sequence[Mapping[str, Any]], record: TrainingRecord) -> str:
    """The page as HTML, its picture embedded."""
    buffer = io.BytesIO()
    draw_curve(entries).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    learned, last = record.learned_from, next((e for e in reversed(entries) if "loss" in e), None)
    steps = max((entry["step"] for entry in entries), default=0)
    loss = "" if last is None else f"; its loss is {last['loss']:.4g} at the end"
    truth = "; ".join(learned.ground_truth_used) or "none"
    facts = {
        "label set": f"{learned.recipe} on {learned.source} ({', '.join(learned.splits)})", "images": learned.images,
        "identity": f"sha256:{learned.identity}", "ground truth used for the labels": truth, "licence": learned.licence,
        "started from": record.start,
    }  # fmt: skip
    return "\n".join([
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Training</title><style>{_STYLE}</style>',
        f"<h1>Training a panoptic network</h1><p>{steps} steps{loss}.</p>",
        f'<img alt="Losses and measures over the steps" src="data:image/png;base64,{picture}">',
        "<h2>What was measured</h2>", _measured(entries),
        "<h2>What it learned from</h2>", _table(list(facts.items())),
        "<h2>Who made the labels</h2>", _table(list(learned.supervision.items())),
        "<h2>Settings</h2>", _table([(name, as_typed(value)) for name, value in record.settings.items()]),
        "</html>\n",
    ])  # fmt: skip


def _measured(entries: Sequence[Mapping[str, Any]]) -> str:
    measured = [entry for entry in entries if "validation" in entry]
    if not measured:
        return "<p>Nothing: give --val to measure while training.</p>"
    names = list(measured[0]["validation"])
    rows = [
        (e["step"], *(f"{100 * e['validation'].get(name, float('nan')):.1f} %" for name in names)) for e in measured
    ]
    return _table([("step", *names), *rows])


def _table(rows: Sequence[Sequence[object]]) -> str:
    lines = ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
