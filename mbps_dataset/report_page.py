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
from tqdm import tqdm

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.built import BuiltLabelSet
from mbps_dataset.calibration import evenly_spaced
from mbps_dataset.errors import InputError
from mbps_dataset.preview import contact_sheet, display_palette, panels
from mbps_dataset.records import DecodedRow
from mbps_dataset.report_quality import split_quality
from mbps_dataset.report_statistics import Histogram, SplitStatistics
from mbps_dataset.sources import Frame, Truth
from mbps_dataset.stages.resizing import resize_nearest
from mbps_dataset.store import write_atomically


PICTURE_WIDTH = 640
"""Pixels of a picture's width in the page."""

_TEMPLATE = Path(__file__).parent / "report_page.html"

_CAPTIONS = {
    "photo": "photo",
    "semantic": "semantic: class of each pixel",
    "depth": "depth: near is light, far is dark",
    "instances": "instances: one colour each",
    "panoptic": "panoptic: classes, each thing outlined",
    "truth": "ground truth, to compare with",
}


@dataclass(frozen=True)
class Shown:
    """One image of the page."""

    row: DecodedRow
    truth: Truth | None


@dataclass(frozen=True)
class Page:
    """What goes into the page; `quality` as `report_quality.split_quality` gives it, or None without truth."""

    document: Mapping[str, Any]
    split: str
    pictures: Sequence[Mapping[str, RGBImage]]
    names: Sequence[str]
    statistics: SplitStatistics
    palette: np.ndarray
    coloured_by_truth: bool = False
    quality: Mapping[str, Any] | None = None


def write_preview(built: BuiltLabelSet, split: str, images: int, *, progress: bool = False) -> tuple[Path, Path]:
    """Write ``preview.png`` and ``report.html`` into the label set; returns their paths.

    Raises `InputError` for an unknown split or one without rows.
    """
    total = built.row_count(split)
    if total == 0:
        raise InputError(f"{built.root}: the split {split!r} has no rows to show.")
    chosen = set(evenly_spaced(total, max(images, 1)))
    truths = _truth_frames(built, split)
    shown, statistics = [], SplitStatistics(len(built.calibration.classes))
    rows = tqdm(built.rows(split), total=total, desc=f"{'counting':>16}", unit="img", disable=not progress)
    for index, row in enumerate(rows):
        statistics.add(row)
        if index in chosen:
            shown.append(Shown(row, _truth(truths.get(row.image_id))))
    palette, coloured_by_truth = _palette(built, shown)
    pictures = [panels(entry.row, entry.truth, palette, built.calibration.void) for entry in shown]
    names = [entry.row.image_id for entry in shown]
    sheet = io.BytesIO()
    contact_sheet(pictures, names).save(sheet, "PNG", optimize=True)
    write_atomically(built.root / "preview.png", sheet.getvalue())
    quality = split_quality(built, split, progress=progress)
    page = Page(built.document, split, pictures, names, statistics, palette, coloured_by_truth, quality)
    write_atomically(built.root / "report.html", render_page(page).encode())
    return built.root / "preview.png", built.root / "report.html"


def _truth_frames(built: BuiltLabelSet, split: str) -> Mapping[str, Frame]:
    try:
        source = built.open_source()
        return {frame.image_id: frame for frame in source.frames(split)} if source.has_truth else {}
    except InputError:  # the images have moved: the page does without truth
        return {}


def _truth(frame: Frame | None) -> Truth | None:
    try:
        return None if frame is None else frame.truth()
    except InputError:
        return None


def _palette(built: BuiltLabelSet, shown: Sequence[Shown]) -> tuple[np.ndarray, bool]:
    calibration = built.calibration
    with_truth = [(entry.row, entry.truth) for entry in shown if entry.truth is not None]
    if calibration.cluster_to_class is not None or not with_truth:
        return calibration.palette(), False
    overlap = np.zeros((len(calibration.classes), 19), dtype=np.int64)
    for row, truth in with_truth:
        target = taxonomy.LABEL_ID_TO_TRAIN_ID[resize_nearest(truth.label_ids, *row.semantic.shape)]
        valid = (target != taxonomy.VOID) & (row.semantic < len(overlap))
        keys = row.semantic[valid].astype(np.int64) * 19 + target[valid]
        overlap += np.bincount(keys, minlength=overlap.size).reshape(overlap.shape)
    return display_palette(overlap), True


def render_page(page: Page) -> str:
    """The page as HTML text."""
    document = page.document
    name, used = document["recipe"]["name"], document["ground_truth_used"]
    body = [
        f"<h1>Panoptic pseudo-labels, recipe {_escape(name)}</h1>",
        f"<p>{_escape(_sentence(document['recipe']['summary']))} Ground truth used for the labels: "
        f"<b>{_escape('; '.join(used) or 'none')}</b>.</p>",
        _facts(page),
        "<h2>Pictures</h2>",
        _picture_section(page),
        "<h2>Quality</h2>",
        _quality_section(page.quality),
        "<h2>Classes</h2>",
        _class_section(page),
        '<div class="pair"><div><h2>Instances per image</h2>',
        _histogram(page.statistics.instance_histogram(), "instances", "images"),
        "</div><div><h2>Depth</h2>",
        _histogram(page.statistics.depth_histogram(), "depth, in the units of its source", "pixels"),
        "</div></div><h2>What each component saw in training</h2>",
        _table(("component", "supervision"), document["supervision"].items()),
        "<h2>Images that could not be labelled</h2>",
        _table(("image", "reason"), [(f["image_id"], f["reason"]) for f in document["failures"]])
        if document["failures"]
        else "<p>None.</p>",
        f'<p class="small">mbps-dataset {_escape(document["package_version"])}, label set {document["identity"]}</p>',
    ]
    template = _TEMPLATE.read_text(encoding="utf-8")
    return template.replace("{{title}}", _escape(f"mbps-pseudo {name}")).replace("{{body}}", "\n".join(body))


def _facts(page: Page) -> str:
    """The numbers a reader looks for first."""
    statistics = page.statistics
    facts = [
        ("split", page.split),
        ("images", f"{len(statistics.instances)}"),
        ("segments", f"{statistics.segments}"),
        ("instances", f"{sum(statistics.instances)}"),
        ("pixels of no class", f"{statistics.void_px / max(statistics.total_px, 1):.1%}"),
        ("not labelled", f"{len(page.document['failures'])}"),
    ]
    if page.quality is not None:
        facts.append((f"PQ ({page.quality['convention']})", _percent(page.quality["pq"])))
    cells = "".join(f"<div><b>{_escape(value)}</b>{_escape(title)}</div>" for title, value in facts)
    return f'<div class="facts">{cells}</div>'


def _picture_section(page: Page) -> str:
    note = (
        "Pseudo-classes have no names. In these pictures they wear the colour of the true class they overlap most, "
        "for the eye only."
        if page.coloured_by_truth
        else ""
    )
    slider = (
        '<p class="bar"><label>photo <input type="range" id="fade" min="0" max="100" value="65"> labels</label> '
        f"<output>65 %</output><span>{note}</span></p>"
    )
    return "\n".join([slider, *(_figures(picture, name) for picture, name in zip(page.pictures, page.names))])


def _figures(pictures: Mapping[str, RGBImage], name: str) -> str:
    photo, cells = pictures["photo"], []
    for title, picture in pictures.items():
        under = f'<img src="{_embedded(photo)}" alt="">' if title in ("semantic", "panoptic", "truth", "depth") else ""
        kind = "over" if under else "plain"
        cells.append(
            f'<figure><div class="stack">{under}<img class="{kind}" src="{_embedded(picture, flat=bool(under))}" '
            f'alt="{title} of {_escape(name)}"></div><figcaption>{_CAPTIONS[title]}</figcaption></figure>'
        )
    return f'<section><h3>{_escape(name)}</h3><div class="row">{"".join(cells)}</div></section>'


def _embedded(picture: RGBImage, flat: bool = False) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH), Image.Resampling.BOX if flat else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _quality_section(quality: Mapping[str, Any] | None) -> str:
    """Averages and classes against ground truth, with convention and matching named."""
    if quality is None:
        return "<p>There is no ground truth for this split, so nothing is known about it. Labelling needs none.</p>"
    pairing = "" if quality["matching"] == "none" else " Pseudo-classes were paired with classes for scoring only."
    averages = [
        (title, *(_percent(quality[f"{key}{group}"]) for key in ("pq", "sq", "rq")))
        for title, group in (("all", ""), ("things", "_things"), ("stuff", "_stuff"))
    ]
    classes = [
        (taxonomy.NAMES_19[k], "thing" if k in taxonomy.THINGS_19 else "stuff", _percent(row["pq"]),
         _percent(row["iou"]), row["tp"], row["fp"], row["fn"])
        for k, row in sorted(quality["per_class"].items(), key=lambda item: -(item[1]["pq"] or 0))
    ]  # fmt: skip
    return (
        f"<p>{quality['images']} images with ground truth, 19 classes, convention <b>{quality['convention']}</b>, matching "
        f"<b>{quality['matching']}</b>, in percent.{pairing} mIoU {_percent(quality['miou'])}, pixel accuracy "
        f"{_percent(quality['accuracy'])}.</p>"
        '<div class="pair">'
        f"{_table(('', 'PQ', 'SQ', 'RQ'), averages, numbers=True)}"
        f"{_table(('class', '', 'PQ', 'IoU', 'right', 'wrong', 'missed'), classes, numbers=True)}</div>"
    )


def _class_section(page: Page) -> str:
    """Share of the pixels of each class, and why it is a thing or stuff."""
    calibration, statistics = page.document["calibration"], page.statistics
    classes, total = calibration["classes"], max(statistics.total_px, 1)
    assignment = {} if page.quality is None else page.quality["assignment"]
    unnamed = calibration["cluster_to_class"] is None
    most, lines = max(int(statistics.pixels.max(initial=1)), 1), []
    for index in np.argsort(-statistics.pixels, kind="stable").tolist():
        entry, pixels = classes[index], int(statistics.pixels[index])
        colour = "rgb({}, {}, {})".format(*page.palette[index])
        scored = f"<td>{taxonomy.NAMES_19[assignment[index]] if index in assignment else '–'}</td>" if unnamed else ""
        lines.append(
            f'<tr><td><i style="background:{colour}"></i>{_escape(entry["name"])}</td>{scored}'
            f'<td class="bar"><span style="width:{100 * pixels / most:.1f}px"></span>{pixels / total:.1%}</td>'
            f"<td>{'<b>thing</b>' if entry['isthing'] else 'stuff'}</td>"
            f'<td class="number">{_number(entry["ratio"])}</td><td class="number">{_number(entry["coverage"])}</td>'
            f"<td>{_escape(entry.get('reason', ''))}</td></tr>"
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


def _histogram(histogram: Histogram, what: str, of: str) -> str:
    most, total = max([*histogram.counts, 1]), max(sum(histogram.counts), 1)
    lines = (
        f'<tr><td class="number">{label}</td>'
        f'<td class="bar"><span style="width:{240 * count / most:.1f}px"></span>{count / total:.1%}</td></tr>'
        for label, count in zip(histogram.labels, histogram.counts)
    )
    head = f"<tr><th>{what}</th><th>share of {of}</th></tr>"
    return f'<p>{_escape(histogram.note)}</p><table class="histogram">{head}{"".join(lines)}</table>'


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: bool = False) -> str:
    def cell(value: Any) -> str:
        right = numbers and (not isinstance(value, str) or value[:1].isdigit() or value == "–")
        return f'<td class="number">{_escape(value)}</td>' if right else f"<td>{_escape(value)}</td>"

    lines = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{_escape(title)}</th>' for title in head)}</tr>{lines}</table>"


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{100 * value:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _escape(text: Any) -> str:
    return html.escape(str(text))
