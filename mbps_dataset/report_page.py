"""One self-contained HTML page about a label set, and the contact sheet beside it.

No script library, no font, no file beside the page: pictures are embedded, charts are HTML boxes, and the only script
is the slider that fades the labels over the photo.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.built import BuiltLabelSet
from mbps_dataset.calibration import evenly_spaced
from mbps_dataset.errors import InputError
from mbps_dataset.preview import contact_sheet, display_palette, panels
from mbps_dataset.records import DecodedRow
from mbps_dataset.sources import Frame, Truth
from mbps_dataset.stages.resizing import resize_nearest
from mbps_dataset.store import write_atomically


PICTURE_WIDTH = 640
"""Pixels of a picture's width in the page."""


@dataclass(frozen=True)
class Shown:
    """One image of the page."""

    row: DecodedRow
    truth: Truth | None


def write_preview(built: BuiltLabelSet, split: str, images: int) -> tuple[Path, Path]:
    """Write ``preview.png`` and ``report.html`` into the label set; returns their paths.

    Raises `InputError` for an unknown split or one without rows.
    """
    total = built.row_count(split)
    if total == 0:
        raise InputError(f"{built.root}: the split {split!r} has no rows to show.")
    chosen = set(evenly_spaced(total, max(images, 1)))
    truths = _truth_frames(built, split)
    shown, statistics = [], SplitStatistics(len(built.calibration.classes))
    for index, row in enumerate(built.rows(split)):
        statistics.add(row)
        if index in chosen:
            shown.append(Shown(row, _truth(truths.get(row.image_id), row)))
    palette, coloured_by_truth = _palette(built, shown)
    pictures = [panels(entry.row, entry.truth, palette, built.calibration.void) for entry in shown]
    names = [entry.row.image_id for entry in shown]
    sheet = io.BytesIO()
    contact_sheet(pictures, names).save(sheet, "PNG", optimize=True)
    write_atomically(built.root / "preview.png", sheet.getvalue())
    page = render_page(built.document, split, pictures, names, statistics, palette, coloured_by_truth)
    write_atomically(built.root / "report.html", page.encode())
    return built.root / "preview.png", built.root / "report.html"


class SplitStatistics:
    """Counts over a split: pixels per class, instances per image, a depth histogram."""

    def __init__(self, classes: int) -> None:
        self.pixels = np.zeros(classes, dtype=np.int64)
        self.instances: list[int] = []
        self.depth = np.zeros(20, dtype=np.int64)
        self.depth_edges = np.geomspace(1.0, 160.0, 21)

    def add(self, row: DecodedRow) -> None:
        """Count one row."""
        counts = np.bincount(row.semantic.ravel(), minlength=len(self.pixels))[: len(self.pixels)]
        self.pixels += counts
        self.instances.append(int(row.instance.max(initial=0)))
        self.depth += np.histogram(row.depth[row.depth > 0], self.depth_edges)[0]


def _truth_frames(built: BuiltLabelSet, split: str) -> Mapping[str, Frame]:
    try:
        source = built.open_source()
        return {frame.image_id: frame for frame in source.frames(split)} if source.has_truth else {}
    except InputError:  # the images have moved: the page does without truth
        return {}


def _truth(frame: Frame | None, row: DecodedRow) -> Truth | None:
    try:
        truth = None if frame is None else frame.truth()
    except InputError:
        return None
    return truth


def _palette(built: BuiltLabelSet, shown: Sequence[Shown]) -> tuple[np.ndarray, bool]:
    calibration = built.calibration
    with_truth = [entry for entry in shown if entry.truth is not None]
    if calibration.cluster_to_class is not None or not with_truth:
        return calibration.palette(), False
    overlap = np.zeros((len(calibration.classes), 19), dtype=np.int64)
    for entry in with_truth:
        assert entry.truth is not None
        target = taxonomy.LABEL_ID_TO_TRAIN_ID[resize_nearest(entry.truth.label_ids, *entry.row.semantic.shape)]
        valid = (target != taxonomy.VOID) & (entry.row.semantic < len(overlap))
        keys = entry.row.semantic[valid].astype(np.int64) * 19 + target[valid]
        overlap += np.bincount(keys, minlength=overlap.size).reshape(overlap.shape)
    return display_palette(overlap), True


def render_page(
    document: Mapping[str, Any],
    split: str,
    pictures: Sequence[Mapping[str, RGBImage]],
    names: Sequence[str],
    statistics: SplitStatistics,
    palette: np.ndarray,
    coloured_by_truth: bool,
) -> str:
    """The page as HTML text."""
    recipe, calibration = document["recipe"], document["calibration"]
    used = document["ground_truth_used"]
    note = (
        "Pseudo-classes have no names. Here they wear the colour of the true class they overlap most, for the eye only."
        if coloured_by_truth
        else ""
    )
    body = [
        f"<h1>Panoptic pseudo-labels, recipe {_escape(recipe['name'])}</h1>",
        f"<p>{_escape(recipe['summary'])}. Ground truth used for the labels: <b>{_escape('; '.join(used) or 'none')}</b>.</p>",
        "<h2>Pictures</h2>",
        f"<p>{note} Split <b>{_escape(split)}</b>.</p>",
        '<p><label>labels over photo <input type="range" id="fade" min="0" max="100" value="65"></label></p>',
        *(_figure(picture, name) for picture, name in zip(pictures, names)),
        "<h2>Classes</h2>",
        _class_table(calibration["classes"], statistics, palette),
        "<h2>Instances per image</h2>",
        _histogram(*_instance_histogram(statistics.instances)),
        "<h2>Depth</h2><p>Share of pixels by depth, in the units of the depth source.</p>",
        _histogram([f"{a:.0f}–{b:.0f}" for a, b in zip(statistics.depth_edges, statistics.depth_edges[1:])],
                   statistics.depth.tolist()),
        "<h2>What each component saw</h2>",
        _table(("component", "supervision"), document["supervision"].items()),
        "<h2>Images that could not be labelled</h2>",
        _table(("image", "reason"), [(f["image_id"], f["reason"]) for f in document["failures"]])
        if document["failures"]
        else "<p>None.</p>",
        f"<p class=small>mbps-dataset {_escape(document['package_version'])}, label set {document['identity']}</p>",
    ]  # fmt: skip
    return _PAGE.replace("{{title}}", _escape(f"mbps-pseudo {recipe['name']}")).replace("{{body}}", "\n".join(body))


def _figure(pictures: Mapping[str, RGBImage], name: str) -> str:
    photo = pictures["photo"]
    cells = []
    for title, picture in pictures.items():
        under = f'<img src="{_embedded(photo)}" alt="">' if title in ("semantic", "panoptic", "truth", "depth") else ""
        kind = "over" if under else "plain"
        cells.append(
            f'<figure><div class="stack">{under}<img class="{kind}" src="{_embedded(picture, flat=bool(under))}" '
            f'alt="{title} of {_escape(name)}"></div><figcaption>{title}</figcaption></figure>'
        )
    return f"<section><h3>{_escape(name)}</h3><div class=row>{''.join(cells)}</div></section>"


def _embedded(picture: RGBImage, flat: bool = False) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH), Image.Resampling.BOX if flat else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _class_table(classes: Sequence[Mapping[str, Any]], statistics: SplitStatistics, palette: np.ndarray) -> str:
    total = max(int(statistics.pixels.sum()), 1)
    lines = []
    for index in np.argsort(-statistics.pixels, kind="stable"):
        entry, share = classes[index], statistics.pixels[index] / total
        colour = "rgb({}, {}, {})".format(*palette[index])
        numbers = "".join(
            f"<td>{'–' if entry[key] is None else format(entry[key], '.3f')}</td>" for key in ("ratio", "coverage")
        )
        lines.append(
            f'<tr><td><i style="background:{colour}"></i>{_escape(entry["name"])}</td>'
            f"<td>{'thing' if entry['isthing'] else 'stuff'}</td>{numbers}"
            f'<td class=bar><span style="width:{share * 100:.2f}%"></span>{share:.1%}</td></tr>'
        )
    head = "<tr><th>class</th><th></th><th>salient share</th><th>coverage</th><th>share of pixels</th></tr>"
    return f"<table>{head}{''.join(lines)}</table>"


def _instance_histogram(instances: Sequence[int]) -> tuple[list[str], list[int]]:
    edges = [0, 1, 2, 3, 5, 8, 12, 20, 40, max([80, *instances]) + 1]
    labels = [str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in zip(edges, edges[1:])]
    return labels, np.histogram(instances, edges)[0].tolist()


def _histogram(labels: Sequence[str], counts: Sequence[int]) -> str:
    most, total = max([*counts, 1]), max(sum(counts), 1)
    lines = (
        f'<tr><td>{label}</td><td class=bar><span style="width:{100 * count / most:.1f}%"></span>{count / total:.1%}</td></tr>'
        for label, count in zip(labels, counts)
    )
    return f"<table class=histogram>{''.join(lines)}</table>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{_escape(cell)}</th>' for cell in head)}</tr>{lines}</table>"


def _escape(text: str) -> str:
    return html.escape(str(text))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{title}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1.5rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #ddd; } h3 { font: 13px monospace; margin: .8rem 0 .2rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 10px; }
figure { margin: 0; } figcaption { color: #666; font-size: 13px; }
.stack { position: relative; background: #111; } .stack img { width: 100%; display: block; }
.stack img.over { position: absolute; inset: 0; height: 100%; opacity: .65; }
table { border-collapse: collapse; } td, th { padding: 2px 14px 2px 0; text-align: left; vertical-align: top; }
td i { display: inline-block; width: 12px; height: 12px; margin-right: 8px; border-radius: 2px; }
td.bar { width: 420px; white-space: nowrap; } td.bar span { display: inline-block; height: 10px; margin-right: 6px; background: #4a7fb5; }
.small { color: #777; font-size: 12px; margin-top: 2rem; overflow-wrap: anywhere; }
</style></head><body>
{{body}}
<script>
const fade = document.getElementById("fade");
fade.oninput = () => document.querySelectorAll("img.over").forEach(i => i.style.opacity = fade.value / 100);
</script>
</body></html>
"""
