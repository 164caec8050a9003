"""Label maps drawn in colour, and the `preview` of a row.

Every drawing is an RGB array [H, W, 3] of the map's size, so that pictures can be laid side by side or over each other.

Decisions on `preview` (ours). It is what a person sees first in the Hub's viewer: the panoptic map in class colours beside
the depth, at most 512 pixels wide. It never holds the photo, which has a column of its own where it may be shown: so it is
the same in every release, and drawn from the other columns alone, of which it is no evidence. It is a JPEG: pixels are
colours, never ids, and it is a third of a PNG.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.arrays import DepthMap, InstanceMap, RGBImage, SemanticMap
from mbps_dataset.resizing import resize_nearest


PREVIEW_HW = (384, 256)
"""Most pixels of each half of a preview."""

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
    colours = taxonomy.id_palette(int(instance.max(initial=0)) + 1)
    inside = instance > 0
    canvas[inside] = (0.35 * image[inside] + 0.65 * colours[instance[inside]]).astype(np.uint8)
    canvas[borders(instance)] = (245, 245, 245)
    return canvas


def draw_panoptic(
    panoptic: InstanceMap, segments: Sequence[Mapping[str, Any]], palette: NDArray[np.uint8]
) -> RGBImage:
    """Class colours with each thing in its own shade and outlined; void dark grey."""
    ids = [int(panoptic.max(initial=0)), *(segment["id"] for segment in segments)]  # a small map may have lost some
    table = np.full((max(ids) + 1, 3), VOID_COLOUR, dtype=np.uint8)
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


def encode_preview(
    panoptic: InstanceMap, segments: Sequence[Mapping[str, Any]], depth: DepthMap, palette: NDArray[np.uint8]
) -> bytes:
    """The column `preview`: a JPEG of the panoptic map and, where any depth is known, the depth on its right.

    Maps [H, W] of one size as in `mbps_dataset.records.LabelledImage`; `palette` uint8 [K, 3] are the classes' colours.
    """
    height, width = panoptic.shape
    scale = min(1.0, PREVIEW_HW[0] / height, PREVIEW_HW[1] / width)
    small_hw = max(1, round(height * scale)), max(1, round(width * scale))
    halves = [draw_panoptic(resize_nearest(panoptic, *small_hw), segments, palette)]
    near = np.nan_to_num(resize_nearest(depth, *small_hw), nan=0.0, posinf=0.0, neginf=0.0)
    if (near > 0).any():
        halves.append(draw_depth(near))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(halves, axis=1)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
