"""One self-contained HTML page about a label set, and the contact sheet beside it.

No script library, no font, no file beside the page: pictures are embedded, charts are HTML boxes, and the only scripts
are the slider that fades the labels over the photo and the naming of clusters (`report.naming`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import evenly_spaced
from mbps_dataset.labelset.document import rendered_only
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.records import DecodedRow
from mbps_dataset.report import tables
from mbps_dataset.report.colouring import Colouring, colouring_of
from mbps_dataset.report.motion_pictures import TITLES as MOTION_TITLES
from mbps_dataset.report.motion_pictures import motion_pictures
from mbps_dataset.report.naming import Nameable, can_be_named, naming_data
from mbps_dataset.report.originals import Originals, open_originals
from mbps_dataset.report.pictures import LegendEntry, contact_sheet, data_uri, panels
from mbps_dataset.report.quality import split_quality
from mbps_dataset.report.statistics import SplitStatistics
from mbps_dataset.sources import Truth
from mbps_dataset.store import write_atomically
from mbps_dataset.store.progress import ProgressBar


PICTURE_WIDTH = 640
"""Pixels of a picture's width in the page."""

LEGEND_CLASSES = 40
"""Classes named below the contact sheet; the page names all."""

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)
_ENVIRONMENT.filters.update(percent=tables.percent, sentence=tables.sentence)
_ENVIRONMENT.tests["figure"] = tables.is_number

_CAPTIONS = {
    "photo": "photo",
    "depth": "depth: near is light, far is dark",
    "instances": "instances: one colour each",
    "truth": "ground truth, to compare with",
} | {title: f"{title}; {colours}" for title, colours in MOTION_TITLES.items()}


@dataclass(frozen=True)
class Shown:
    """One image of the page."""

    row: DecodedRow
    truth: Truth | None


@dataclass(frozen=True)
class Page:
    """What goes into the page; `quality` as `quality.split_quality` gives it, or None; `quality_note` says why none, or from when.

    `fault` says why the images the set was built from cannot be reached, if so; `naming` is `naming.naming_data`, or None.
    """

    document: Mapping[str, Any]
    split: str
    pictures: Sequence[Mapping[str, RGBImage]]
    names: Sequence[str]
    statistics: SplitStatistics
    colouring: Colouring
    quality: Mapping[str, Any] | None = None
    quality_note: str = ""
    fault: str = ""
    naming: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Preview:
    """Paths of what was written, and why the images the set was built from cannot be reached ("" if they can)."""

    sheet: Path
    page: Path
    fault: str


def write_preview(
    built: LabelSetFolder,
    split: str,
    images: int,
    *,
    data_dir: Path | None = None,
    truth: Path | None = None,
    progress: bool = False,
) -> Preview:
    """Write ``preview.png`` and ``report.html`` into the label set.

    `data_dir` is where the images of the set lie now, `truth` ground truth in any form that `mbps eval` reads. Raises
    `InputError` for an unknown split, one without rows, and what is no such folder.
    """
    total = built.row_count(split)
    if total == 0:
        raise InputError(f"{built.root}: the split {split!r} has no rows to show.")
    originals = open_originals(built, split, data_dir=data_dir, truth=truth)
    chosen = set(evenly_spaced(total, max(images, 1)))
    shown, statistics = [], SplitStatistics(len(built.calibration.classes))
    with ProgressBar("counting", total, show=progress) as bar:
        for index, row in enumerate(built.rows(split)):
            statistics.add(row)
            if index in chosen:
                shown.append(Shown(originals.with_photo(row), originals.truth_of(row.image_id)))
            bar.update()
    quality, quality_note = _quality(built, split, originals, truth, progress)
    maps = [(entry.row.semantic, entry.truth) for entry in shown]
    colouring = colouring_of(built.calibration, maps, quality["assignment"] if quality else None)
    pictures = [
        _pictures(entry, colouring, built.calibration.void) | motion_pictures(built, originals, entry.row.image_id)
        for entry in shown
    ]
    names = [entry.row.image_id for entry in shown]
    subtitles = {**colouring.titles, **MOTION_TITLES}
    sheet = contact_sheet(pictures, names, subtitles=subtitles, legend=_legend(colouring, statistics))
    naming = None
    if can_be_named(built.document, built.calibration):
        nameable = [Nameable(each.row.image_id, each.row.image, each.row.semantic) for each in shown]
        naming = naming_data(built.calibration, nameable, colouring.palette)
    page = Page(
        built.document, split, pictures, names, statistics, colouring, quality, quality_note, originals.fault, naming
    )
    written = Preview(built.root / "preview.png", built.root / "report.html", originals.fault)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    write_atomically(written.sheet, buffer.getvalue())
    write_atomically(written.page, render_page(page).encode())
    return written


def _quality(
    built: LabelSetFolder, split: str, originals: Originals, truth: Path | None, progress: bool
) -> tuple[Mapping[str, Any] | None, str]:
    """The score, or None and why there is none; a score that lies beside the set may outlive its truth."""
    try:
        quality = split_quality(built, split, originals, truth, progress=progress)
    except InputError as error:
        if truth is not None:
            raise
        return None, f"The ground truth of this split cannot be used: {error}"
    if quality is None and originals.fault:
        return None, f"Whether there is ground truth is not known: {originals.fault}"
    if quality is not None:
        stale = bool(originals.fault) and truth is None
        return quality, f"This score was taken earlier; now it could not be: {originals.fault}" if stale else ""
    nothing = ("No ground truth was found for this split, so nothing is known about its quality. Labelling needs none; "
               "mbps preview --truth takes label maps.")  # fmt: skip
    return None, nothing


def _pictures(entry: Shown, colouring: Colouring, void: int) -> dict[str, RGBImage]:
    scored = None if colouring.scored_as is None else colouring.scored_palette()
    drawn = panels(entry.row, entry.truth, colouring.palette, void, scored)
    if entry.row.image is None:
        del drawn["photo"]
    return drawn


def _legend(colouring: Colouring, statistics: SplitStatistics) -> list[LegendEntry]:
    """The largest classes of the split: as they are drawn, as they are scored, and their share of the pixels."""
    scored, total = colouring.scored_palette(), max(statistics.total_px, 1)
    order = [int(k) for k in np.argsort(-statistics.pixels, kind="stable") if statistics.pixels[k]]
    entries = []
    for k in order[:LEGEND_CLASSES]:
        colours = [colouring.palette[k], *([scored[k]] if colouring.scored_as is not None else [])]
        text = f"{colouring.in_words(k)} ({statistics.pixels[k] / total:.1%})"
        entries.append(LegendEntry(text, tuple(tuple(colour.tolist()) for colour in colours)))
    if len(order) > LEGEND_CLASSES:
        entries.append(LegendEntry(f"and {len(order) - LEGEND_CLASSES} smaller classes", ()))
    return entries


def render_page(page: Page) -> str:
    """The page as HTML text."""
    document, quality, statistics = page.document, page.quality, page.statistics
    return _ENVIRONMENT.get_template("page.html").render(
        document=document,
        caution=rendered_only(document),
        facts=_facts(page),
        colour_note=page.colouring.explanation,
        fault=page.fault,
        quality_note=page.quality_note,
        pictures_have_photos=any("photo" in drawn for drawn in page.pictures),
        pictures=(
            {"name": name, "figures": list(_figures(drawn, page.colouring))}
            for drawn, name in zip(page.pictures, page.names)
        ),
        naming=page.naming,
        quality=quality,
        average_rows=tables.average_rows(quality) if quality else (),
        scored_class_rows=tables.scored_class_rows(quality) if quality else (),
        class_rows=tables.class_rows(document["calibration"], statistics, page.colouring),
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


def _figures(pictures: Mapping[str, RGBImage], colouring: Colouring) -> Iterator[dict[str, str]]:
    """The pictures of one image; those that the slider fades have its photo below them."""
    photo = pictures.get("photo")
    for title, picture in pictures.items():
        fades = photo is not None and title in ("semantic", "panoptic", "scored", "truth", "depth")
        yield {
            "title": title,
            "caption": _CAPTIONS.get(title) or f"{title}; {colouring.titles[title]}",
            "photo": _embedded(photo) if photo is not None and fades else "",
            "picture": _embedded(picture, flat=fades),
        }


def _embedded(picture: RGBImage, flat: bool = False) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH), Image.Resampling.BOX if flat else Image.Resampling.LANCZOS)
    return data_uri(image, "WEBP", quality=82)
