"""Pictures of a label set: photo, semantics, depth, instances, panoptic, and truth where there is one.

Every drawing is an RGB array of the image's size, so that pictures can be laid side by side or over each other.
Which colour a class wears is decided in `mbps_dataset.report.colouring`; titles and a legend say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mbps_dataset import taxonomy
from mbps_dataset.arrays import DepthMap, InstanceMap, RGBImage, SemanticMap
from mbps_dataset.records import DecodedRow
from mbps_dataset.sources import Truth


VOID_COLOUR = (20, 20, 20)
_DEPTH_ANCHORS = np.array(
    [(252, 255, 164), (251, 155, 6), (207, 68, 70), (120, 28, 109), (46, 10, 91), (0, 0, 4)], dtype=np.float64
)
"""Near to far: light yellow over red and violet to black (the end points of the usual inferno map)."""


def draw_classes(semantic: SemanticMap, palette: NDArray[np.uint8], void: int) -> RGBImage:
    """Class colours [H, W, 3]; void dark grey."""
    table = np.zeros((max(len(palette), void) + 1, 3), dtype=np.uint8)
    table[: len(palette)] = palette
    table[void] = VOID_COLOUR
    return table[semantic]


def draw_depth(depth: DepthMap) -> RGBImage:
    """Depth on a logarithmic scale, near = light, far = dark; unknown dark grey."""
    known = depth > 0
    if not known.any():
        return np.full((*depth.shape, 3), VOID_COLOUR, dtype=np.uint8)
    low, high = np.percentile(depth[known], (1, 99))
    position = np.log(np.clip(depth, low, high) / low) / max(np.log(high / low), 1e-6)
    position = np.clip(position, 0, 1) * (len(_DEPTH_ANCHORS) - 1)
    below = np.minimum(position.astype(int), len(_DEPTH_ANCHORS) - 2)
    share = (position - below)[..., None]
    colours = _DEPTH_ANCHORS[below] * (1 - share) + _DEPTH_ANCHORS[below + 1] * share
    return np.where(known[..., None], colours, VOID_COLOUR).astype(np.uint8)


def borders(ids: InstanceMap) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour has another id: bool [H, W]."""
    edge = np.zeros(ids.shape, dtype=bool)
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edge[:-1] |= ids[:-1] != ids[1:]
    return edge


def draw_instances(image: RGBImage, instance: InstanceMap) -> RGBImage:
    """Each instance in its own colour over the darkened photo, with a light outline."""
    canvas = (image * 0.35).astype(np.uint8)
    count = int(instance.max(initial=0))
    colours = np.concatenate([np.zeros((1, 3), np.uint8), taxonomy.pseudo_class_palette(max(count, 1))])
    inside = instance > 0
    canvas[inside] = (0.35 * image[inside] + 0.65 * colours[instance[inside]]).astype(np.uint8)
    canvas[borders(instance)] = (245, 245, 245)
    return canvas


def draw_panoptic(
    panoptic: InstanceMap, segments: Sequence[Mapping[str, Any]], palette: NDArray[np.uint8]
) -> RGBImage:
    """Class colours with each thing in its own shade and outlined; void dark grey."""
    table = np.full((int(panoptic.max(initial=0)) + 1, 3), VOID_COLOUR, dtype=np.uint8)
    things = np.zeros(len(table), dtype=bool)
    for segment in segments:
        shade = 0.65 + 0.35 * ((segment["id"] * 0.618) % 1) if segment["isthing"] else 1.0
        table[segment["id"]] = np.clip(palette[segment["category_id"]] * shade + 60 * (1 - shade), 0, 255)
        things[segment["id"]] = segment["isthing"]
    canvas = table[panoptic]
    thing = things[panoptic]
    near_thing = thing.copy()
    near_thing[:, :-1] |= thing[:, 1:]
    near_thing[:-1] |= thing[1:]
    canvas[borders(panoptic) & near_thing] = (255, 255, 255)
    return canvas


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
    """Title → picture for one row, in reading order. Without a photo the label maps stand on grey.

    `scored_palette` [K, 3] are the colours of the classes that scoring paired the pseudo-classes with.
    """
    image = row.image
    if image is None or image.shape[:2] != row.semantic.shape:
        grey = np.full((*row.semantic.shape, 3), 90, dtype=np.uint8)
        image = grey if image is None else np.asarray(Image.fromarray(image).resize(row.semantic.shape[::-1]))
    pictures = {
        "photo": image,
        "semantic": draw_classes(row.semantic, palette, void),
        "depth": draw_depth(row.depth),
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
