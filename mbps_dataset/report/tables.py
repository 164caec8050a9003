"""The tables and bar charts of the report page, as HTML text. Everything that comes from files is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.report.statistics import Histogram, SplitStatistics


def quality_section(quality: Mapping[str, Any] | None) -> str:
    """Averages and classes against ground truth, with convention and matching named."""
    if quality is None:
        return "<p>There is no ground truth for this split, so nothing is known about it. Labelling needs none.</p>"
    pairing = "" if quality["matching"] == "none" else " Pseudo-classes were paired with classes for scoring only."
    averages = [
        (title, *(percent(quality[f"{key}{group}"]) for key in ("pq", "sq", "rq")))
        for title, group in (("all", ""), ("things", "_things"), ("stuff", "_stuff"))
    ]
    classes = [
        (taxonomy.NAMES_19[k], "thing" if k in taxonomy.THINGS_19 else "stuff", percent(row["pq"]),
         percent(row["iou"]), row["tp"], row["fp"], row["fn"])
        for k, row in sorted(quality["per_class"].items(), key=lambda item: -(item[1]["pq"] or 0))
    ]  # fmt: skip
    return (
        f"<p>{quality['images']} images with ground truth, 19 classes, convention <b>{quality['convention']}</b>, matching "
        f"<b>{quality['matching']}</b>, in percent.{pairing} mIoU {percent(quality['miou'])}, pixel accuracy "
        f"{percent(quality['accuracy'])}.</p>"
        '<div class="pair">'
        f"{table(('', 'PQ', 'SQ', 'RQ'), averages, numbers=True)}"
        f"{table(('class', '', 'PQ', 'IoU', 'right', 'wrong', 'missed'), classes, numbers=True)}</div>"
    )


def class_section(
    calibration: Mapping[str, Any], statistics: SplitStatistics, palette: np.ndarray, assignment: Mapping[int, int]
) -> str:
    """Share of the pixels of each class, and why it is a thing or stuff."""
    classes, total = calibration["classes"], max(statistics.total_px, 1)
    unnamed = calibration["cluster_to_class"] is None
    most, lines = max(int(statistics.pixels.max(initial=1)), 1), []
    for index in np.argsort(-statistics.pixels, kind="stable").tolist():
        entry, pixels = classes[index], int(statistics.pixels[index])
        colour = "rgb({}, {}, {})".format(*palette[index])
        scored = f"<td>{taxonomy.NAMES_19[assignment[index]] if index in assignment else '–'}</td>" if unnamed else ""
        lines.append(
            f'<tr><td><i style="background:{colour}"></i>{escape(entry["name"])}</td>{scored}'
            f'<td class="bar"><span style="width:{100 * pixels / most:.1f}px"></span>{pixels / total:.1%}</td>'
            f"<td>{'<b>thing</b>' if entry['isthing'] else 'stuff'}</td>"
            f'<td class="number">{number(entry["ratio"])}</td><td class="number">{number(entry["coverage"])}</td>'
            f"<td>{escape(entry.get('reason', ''))}</td></tr>"
        )
    scored = "<th>scored as</th>" if unnamed else ""
    head = (f"<tr><th>class</th>{scored}<th>share of pixels</th><th></th><th>saliency ratio</th><th>coverage</th>"
            "<th>why</th></tr>")  # fmt: skip
    about = (
        f"<p>Things and stuff were told apart on {calibration['images']} images. Saliency ratio: share of a class's "
        "pixels that the network attends to (for depth-split: parts after cutting along depth edges over parts before). "
        "Coverage: share of the images with the class that it fills.</p>"
    )
    return f'{about}<div class="wide"><table>{head}{"".join(lines)}</table></div>'


def histogram(bars: Histogram, what: str, of: str) -> str:
    """A histogram as horizontal bars; `what` names the bins, `of` what is counted."""
    most, total = max([*bars.counts, 1]), max(sum(bars.counts), 1)
    lines = (
        f'<tr><td class="number">{label}</td>'
        f'<td class="bar"><span style="width:{240 * count / most:.1f}px"></span>{count / total:.1%}</td></tr>'
        for label, count in zip(bars.labels, bars.counts)
    )
    head = f"<tr><th>{what}</th><th>share of {of}</th></tr>"
    return f'<p>{escape(bars.note)}</p><table class="histogram">{head}{"".join(lines)}</table>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: bool = False) -> str:
    """A table; `numbers` sets cells that hold numbers to the right."""

    def cell(value: Any) -> str:
        right = numbers and (not isinstance(value, str) or value[:1].isdigit() or value == "–")
        return f'<td class="number">{escape(value)}</td>' if right else f"<td>{escape(value)}</td>"

    lines = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(title)}</th>' for title in head)}</tr>{lines}</table>"


def percent(value: float | None) -> str:
    """A fraction in percent, "–" where it is undefined."""
    return "–" if value is None or value != value else f"{100 * value:.2f}"


def number(value: float | None) -> str:
    """Three digits after the point, "–" where there is no number."""
    return "–" if value is None else f"{value:.3f}"


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def escape(text: Any) -> str:
    """Text that cannot be markup."""
    return html.escape(str(text))
