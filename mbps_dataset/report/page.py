"""One self-contained HTML page about a label set, and the contact sheet beside it.

No script library, no font, no file beside the page: pictures are embedded, charts are HTML boxes, and the only script
is the slider that fades the labels over the photo.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image
from tqdm import tqdm

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import evenly_spaced
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.records import DecodedRow
from mbps_dataset.report import tables
from mbps_dataset.report.pictures import contact_sheet, display_palette, panels
from mbps_dataset.report.quality import split_quality
from mbps_dataset.report.statistics import SplitStatistics
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame, Truth
from mbps_dataset.store import write_atomically


PICTURE_WIDTH = 640
"""Pixels of a picture's width in the page."""

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)
_ENVIRONMENT.filters.update(percent=tables.percent, sentence=tables.sentence)
_ENVIRONMENT.tests["figure"] = tables.is_number

_COLOURED_BY_TRUTH = (
    "Pseudo-classes have no names. In these pictures they wear the colour of the true class they overlap most, "
    "for the eye only."
)

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


def write_preview(built: LabelSetFolder, split: str, images: int, *, progress: bool = False) -> tuple[Path, Path]:
    """Write ``preview.png`` and ``report.html`` into the label set; returns their paths.

    Raises `InputError` for an unknown split or one without rows.
    """
    total = built.row_count(split)
    if total == 0:
        raise InputError(f"{built.root}: the split {split!r} has no rows to show.")
    chosen = set(evenly_spaced(total, max(images, 1)))
    frames = _frames(built, split)
    shown, statistics = [], SplitStatistics(len(built.calibration.classes))
    rows = tqdm(built.rows(split), total=total, desc=f"{'counting':>16}", unit="img", disable=not progress)
    for index, row in enumerate(rows):
        statistics.add(row)
        if index in chosen:
            frame = frames.get(row.image_id)
            shown.append(Shown(_with_photo(row, frame), _truth(frame)))
    palette, coloured_by_truth = _palette(built, shown)
    pictures = [panels(entry.row, entry.truth, palette, built.calibration.void) for entry in shown]
    for entry, drawn in zip(shown, pictures):
        if entry.row.image is None:
            del drawn["photo"]
    names = [entry.row.image_id for entry in shown]
    sheet = io.BytesIO()
    contact_sheet(pictures, names).save(sheet, "PNG", optimize=True)
    write_atomically(built.root / "preview.png", sheet.getvalue())
    quality = split_quality(built, split, progress=progress)
    page = Page(built.document, split, pictures, names, statistics, palette, coloured_by_truth, quality)
    write_atomically(built.root / "report.html", render_page(page).encode())
    return built.root / "preview.png", built.root / "report.html"


def _frames(built: LabelSetFolder, split: str) -> Mapping[str, Frame]:
    """The images the set was built from, for ground truth and, in a set without images, for photos."""
    try:
        return {frame.image_id: frame for frame in built.open_source().frames(split)}
    except InputError:  # they have moved: the page does without
        return {}


def _with_photo(row: DecodedRow, frame: Frame | None) -> DecodedRow:
    if row.image is not None or frame is None:
        return row
    try:
        return replace(row, image=frame.image())
    except InputError:
        return row


def _truth(frame: Frame | None) -> Truth | None:
    try:
        return None if frame is None else frame.truth()
    except InputError:
        return None


def _palette(built: LabelSetFolder, shown: Sequence[Shown]) -> tuple[np.ndarray, bool]:
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
    document, quality, statistics = page.document, page.quality, page.statistics
    assignment = quality["assignment"] if quality else {}
    return _ENVIRONMENT.get_template("page.html").render(
        document=document,
        facts=_facts(page),
        colour_note=_COLOURED_BY_TRUTH if page.coloured_by_truth else "",
        pictures_have_photos=any("photo" in drawn for drawn in page.pictures),
        pictures=({"name": name, "figures": _figures(drawn)} for drawn, name in zip(page.pictures, page.names)),
        quality=quality,
        average_rows=tables.average_rows(quality) if quality else (),
        scored_class_rows=tables.scored_class_rows(quality) if quality else (),
        class_rows=tables.class_rows(document["calibration"], statistics, page.palette, assignment),
        instances=statistics.instance_histogram(),
        depth=statistics.depth_histogram(),
    )


def _facts(page: Page) -> list[tuple[str, str]]:
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
        facts.append((f"PQ ({page.quality['convention']})", tables.percent(page.quality["pq"])))
    return facts


def _figures(pictures: Mapping[str, RGBImage]) -> Iterator[dict[str, str]]:
    """The pictures of one image; those that the slider fades have its photo below them."""
    photo = pictures.get("photo")
    for title, picture in pictures.items():
        fades = photo is not None and title in ("semantic", "panoptic", "truth", "depth")
        yield {
            "title": title,
            "caption": _CAPTIONS[title],
            "photo": _embedded(photo) if photo is not None and fades else "",
            "picture": _embedded(picture, flat=fades),
        }


def _embedded(picture: RGBImage, flat: bool = False) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH), Image.Resampling.BOX if flat else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
