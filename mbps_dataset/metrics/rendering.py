"""A result for people: a table and bars for the terminal, a bar chart as SVG. Text in, text out; numbers in percent.

The first line always names convention and matching, because a PQ without them cannot be compared with another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mbps_dataset.metrics.detection import DetectionResult
from mbps_dataset.metrics.result import PanopticResult


ClassNames = Mapping[int, str] | Sequence[str] | None
"""Names by class id; None shows the ids."""


def format_table(result: PanopticResult, *, class_names: ClassNames = None) -> str:
    """The whole result as lines of text, classes without a segment as "-"."""
    lines = [format_averages(result)]
    for name in ("pq", "pq_things", "pq_stuff", "miou"):
        if name in result.intervals:
            low, high = (percent(bound).strip() for bound in result.intervals[name])
            lines.append(f"  {name} between {low} and {high} with other images of this kind")
    named = {
        "SQ over matched classes": result.sq_matched,
        "SQ, RQ pooled over segments": (result.sq_pooled, result.rq_pooled),
        "mIoU, accuracy": (result.miou, result.accuracy),
        "  with predicted void as error": (result.miou_penalised, result.accuracy_penalised),
        "labelled pixels left void": result.predicted_void_share,
    }
    lines.append("")
    for title, values in named.items():
        values = values if isinstance(values, tuple) else (values,)
        lines.append(f"{title:32}" + "".join(percent(value) for value in values))
    if result.undetermined:
        lines += ["", f"undetermined pseudo-classes: {_shorten(result.undetermined)} (another optimal matching names "
                  "them differently; drop_zero_overlap removes most such ties)"]  # fmt: skip
    heads = "".join(f"{head:>8}" for head in ("PQ", "SQ", "RQ", "IoU")) + f"{'TP':>7}{'FP':>7}{'FN':>7}"
    lines += ["", f"{'class':16}" + heads]
    for class_id, row in result.per_class.items():
        numbers = "".join(percent(row[key]) for key in ("pq", "sq", "rq", "iou"))
        counts = "".join(f"{int(row[key]):7d}" for key in ("tp", "fp", "fn"))
        lines.append(f"{class_name(class_names, class_id)[:16]:16}" + numbers + counts)
    return "\n".join(lines)


def format_averages(result: PanopticResult) -> str:
    """The first line, and PQ, SQ and RQ over all classes, things and stuff."""
    lines = [summary_line(result), "", f"{'':16}" + "".join(f"{head:>8}" for head in ("PQ", "SQ", "RQ"))]
    for title, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
        lines.append(f"{title:16}" + "".join(percent(getattr(result, key + suffix)) for key in ("pq", "sq", "rq")))
    return "\n".join(lines)


def format_masks(result: DetectionResult) -> str:
    """Class-agnostic quality of masks: a line of counts and a small table."""
    columns = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "small": "ap_small", "medium": "ap_medium",
               "large": "ap_large", "AR100": "ar_100"}  # fmt: skip
    return "\n".join([
        f"{result.pred_masks} masks against {result.true_masks} true ones, whatever their class; "
        f"{percent(result.mask_precision).strip()} % of them meet a true one with IoU above 50 %",
        f"{'masks':16}" + "".join(f"{head:>8}" for head in columns),
        f"{'AP, AR':16}" + "".join(percent(getattr(result, name)) for name in columns.values()),
    ])  # fmt: skip


def format_distances(results: Mapping[tuple[float, float], PanopticResult], unit: str) -> str:
    """PQ and mIoU by range of distance; `unit` says what the distances are measured in."""
    columns = {"PQ": "pq", "things": "pq_things", "stuff": "pq_stuff", "SQ": "sq", "RQ": "rq", "mIoU": "miou"}
    lines = [f"by distance, in {unit}", f"{'from, to':16}" + "".join(f"{head:>8}" for head in columns)]
    for (near, far), result in results.items():
        numbers = "".join(percent(getattr(result, name)) for name in columns.values())
        lines.append(f"{f'{near:g}, {far:g}' if math.isfinite(far) else f'{near:g} and more':16}" + numbers)
    return "\n".join(lines)


def format_bars(result: PanopticResult, *, class_names: ClassNames = None, width: int = 40) -> str:
    """PQ of every class as a bar of text, `width` characters for 100 percent."""
    lines = []
    for class_id, row in result.per_class.items():
        filled = 0 if math.isnan(row["pq"]) else round(row["pq"] * width)
        bar = "█" * filled + "·" * (width - filled)
        lines.append(f"{class_name(class_names, class_id)[:16]:16} {bar}{percent(row['pq'])}")
    return "\n".join(lines)


def bar_chart_svg(
    result: PanopticResult, *, class_names: ClassNames = None, colours: Mapping[int, Sequence[int]] | None = None
) -> str:
    """PQ of every class as a horizontal bar chart, a complete SVG document.

    `colours` maps class ids to red, green, blue in 0-255; others are grey.
    """
    from html import escape

    row_px, label_px, bar_px = 20, 130, 400
    height = row_px * (len(result.per_class) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label_px + bar_px + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="4" y="14" font-weight="bold">{escape(summary_line(result))}</text>',
    ]
    for line, (class_id, row) in enumerate(result.per_class.items()):
        top = row_px * (line + 1) + 4
        red, green, blue = (colours or {}).get(class_id, (120, 120, 120))
        length = 0 if math.isnan(row["pq"]) else row["pq"] * bar_px
        name = escape(class_name(class_names, class_id))
        parts += [
            f'<text x="{label_px - 6}" y="{top + 12}" text-anchor="end">{name}</text>',
            f'<rect x="{label_px}" y="{top}" width="{length:.1f}" height="{row_px - 5}" '
            f'fill="rgb({red},{green},{blue})"/>',
            f'<text x="{label_px + length + 4:.1f}" y="{top + 12}">{percent(row["pq"]).strip()}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def summary_line(result: PanopticResult) -> str:
    """One line: PQ and what it was computed with."""
    drop = ", zero overlap dropped" if result.drop_zero_overlap else ""
    return (
        f"PQ {percent(result.pq).strip()} on {result.images} images, {result.classes_averaged} classes; "
        f"convention {result.convention}, matching {result.matching}{drop}"
    )


def percent(value: float) -> str:
    """A fraction as percent in 8 characters; "-" where it is undefined."""
    return f"{'-':>8}" if math.isnan(value) else f"{100 * value:8.2f}"


def class_name(names: ClassNames, class_id: int) -> str:
    """Name of a class, or its id where `names` has none."""
    if isinstance(names, Mapping):
        return names.get(class_id, str(class_id))
    return names[class_id] if names is not None and class_id < len(names) else str(class_id)


def _shorten(ids: Sequence[int], most: int = 12) -> str:
    return ", ".join(map(str, ids[:most])) + (f" and {len(ids) - most} more" if len(ids) > most else "")
