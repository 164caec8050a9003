"""Pictures of a label set: photo, semantics, depth, instances, panoptic, and truth where there is one.

Which colour a class wears is decided in `mbps_dataset.report.colouring`; titles and a legend say it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage
from mbps_dataset.labelling.drawing import (
    VOID_COLOUR,
    borders,
    draw_classes,
    draw_depth,
    draw_instances,
    draw_panoptic,
)
from mbps_dataset.records import DecodedRow
from mbps_dataset.sources import Truth


def draw_truth(truth: Truth) -> RGBImage:
    """The true classes in Cityscapes' colours with instances outlined."""
    colours = taxonomy.class_palette(taxonomy.CITYSCAPES)
    canvas = colours[truth.label_ids]
    canvas[truth.label_ids == 0] = VOID_COLOUR
    edge = borders(np.where(truth.instance_ids >= 1000, truth.instance_ids, 0))
    canvas[edge] = (255, 255, 255)
    return canvas


def panels(
    row: DecodedRow,
    truth: Truth | None,
    palette: NDArray[np.uint8],
    void: int,
    scored_palette: NDArray[np.uint8] | None = None,
) -> dict[str, RGBImage]:
    """Title → picture for one row, in reading order. Without a photo the label maps stand on grey; depth of which nothing is
    known, such as a panoptic network's, has no picture.

    `scored_palette` [K, 3] are the colours of the classes that scoring paired the pseudo-classes with.
    """
    image = row.image
    if image is None or image.shape[:2] != row.semantic.shape:
        grey = np.full((*row.semantic.shape, 3), 90, dtype=np.uint8)
        image = grey if image is None else np.asarray(Image.fromarray(image).resize(row.semantic.shape[::-1]))
    pictures = {
        "photo": image,
        "semantic": draw_classes(row.semantic, palette, void),
        **({"depth": draw_depth(row.depth)} if row.depth.any() else {}),
        "instances": draw_instances(image, row.instance),
        "panoptic": draw_panoptic(row.panoptic, row.segments, palette),
    }
    if scored_palette is not None:
        pictures["scored"] = draw_classes(row.semantic, scored_palette, void)
    if truth is not None:
        pictures["truth"] = draw_truth(truth)
    return pictures


@dataclass(frozen=True)
class LegendEntry:
    """A class below a contact sheet: its text and the colours that stand before it."""

    text: str
    colours: tuple[tuple[int, ...], ...]


def contact_sheet(
    rows: Sequence[Mapping[str, RGBImage]],
    names: Sequence[str],
    *,
    width: int = 400,
    subtitles: Mapping[str, str] | None = None,
    legend: Sequence[LegendEntry] = (),
) -> Image.Image:
    """All panels in a grid: a line per image with its name below, a column per kind of picture, titles on top.

    `subtitles` say below a title what its colours mean; `legend` follows the last image.
    """
    titles, subtitles = list(dict.fromkeys(title for row in rows for title in row)), subtitles or {}
    title_font, name_font = ImageFont.load_default(22), ImageFont.load_default(14)
    gap, header, footer = 8, 56 if subtitles else 36, 22
    heights = [max(round(p.shape[0] * width / p.shape[1]) for p in row.values()) for row in rows]
    heights = [min(height, width) for height in heights]
    across, grid = len(titles) * (width + gap) + gap, header + sum(heights) + len(rows) * footer + gap
    columns = max(1, across // _LEGEND_WIDTH)
    sheet = Image.new("RGB", (across, grid + -(-len(legend) // columns) * _LEGEND_LINE + gap * bool(legend)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((gap + column * (width + gap), 6), title, fill=(30, 30, 30), font=title_font)
        pen.text((gap + column * (width + gap), 34), subtitles.get(title, ""), fill=(110, 110, 110), font=name_font)
    top = header
    for row, name, height in zip(rows, names, heights):
        for column, title in enumerate(titles):
            if title in row:
                picture = Image.fromarray(row[title])
                picture.thumbnail((width, height), Image.Resampling.LANCZOS)
                sheet.paste(picture, (gap + column * (width + gap) + (width - picture.width) // 2, top))
        pen.text((gap, top + height + 2), name, fill=(110, 110, 110), font=name_font)
        top += height + footer
    for number, entry in enumerate(legend):
        place = (gap + number % columns * _LEGEND_WIDTH, grid + number // columns * _LEGEND_LINE)
        _draw_entry(pen, place, entry, name_font)
    return sheet


_LEGEND_WIDTH, _LEGEND_LINE, _SWATCH = 500, 22, 14
"""Pixels."""


def _draw_entry(pen: ImageDraw.ImageDraw, place: tuple[int, int], entry: LegendEntry, font: Any) -> None:
    left, top = place
    for colour in entry.colours:
        pen.rectangle((left, top + 2, left + _SWATCH, top + 2 + _SWATCH), fill=tuple(colour))
        left += _SWATCH + 6
    pen.text((left, top), entry.text, fill=(70, 70, 70), font=font)


def data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as text for a page, coded as `kind` "PNG" or "WEBP" with Pillow's `options`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
