"""Pictures of flow, disparity and moving objects, from what the store still holds; nothing is computed anew (ours).

An image in which nothing was found says why, on its picture.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError, RecipeError, WeightsError
from mbps_dataset.labelling.drawing import VOID_COLOUR, draw_depth, draw_instances
from mbps_dataset.labelling.stage import Run, Visit
from mbps_dataset.labelling.stage_flow import FLOW, unpack
from mbps_dataset.labelling.stage_motion import MOTION, moving_objects, why_nothing_moves
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.recipe import Recipe
from mbps_dataset.report.originals import Originals
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages.motion.instance_maps import map_of_instances
from mbps_dataset.store import Store


TITLES = {
    "flow": "colour: direction, white stands still",
    "disparity": "near is light, far is dark",
    "moving objects": "colour: one for each",
}
"""Title of each picture and what its colours say."""


def draw_flow(flow: NDArray[np.floating]) -> RGBImage:
    """Flow [2, H, W] as uint8 [H, W, 3]: hue is the direction, white stands still, and the strongest colour is the 98th
    percentile of the lengths; unknown dark grey."""
    known = np.isfinite(flow).all(axis=0)
    u, v = np.where(known, flow, 0)
    length = np.hypot(u, v)
    longest = float(np.percentile(length[known], 98)) if known.any() else 1.0
    hue = (np.arctan2(v, u) / (2 * np.pi)) % 1.0
    strength = np.clip(length / max(longest, 1e-6), 0, 1)
    hsv = np.stack([hue * 255, strength * 255, np.full(hue.shape, 255.0)], axis=-1).astype(np.uint8)
    picture = np.array(Image.fromarray(hsv, mode="HSV").convert("RGB"))
    picture[~known] = VOID_COLOUR
    return picture


def motion_pictures(built: LabelSetFolder, originals: Originals, image_id: str) -> dict[str, RGBImage]:
    """Title → picture of what the store holds of an image; none for recipes without motion, or if it has gone."""
    frame = originals.frames.get(image_id)
    try:
        recipe = Recipe.from_json(built.document["recipe"])
        device = built.document["digests"].get("device", "cpu")
        run = Run(recipe, Store(built.root / "stages"), device, originals.source)
        held = [] if frame is None or not recipe.needs_motion else [s for s in (FLOW, MOTION) if run.holds(s, frame)]
    except (InputError, RecipeError, WeightsError):
        return {}
    pictures: dict[str, RGBImage] = {}
    if frame is not None and held:
        visit = run.visit(frame)
        with suppress(InputError):
            pictures |= _flow_pictures(visit) if FLOW in held else {}
            pictures |= {"moving objects": _objects_picture(visit)} if MOTION in held else {}
    return pictures


def _flow_pictures(visit: Visit) -> dict[str, RGBImage]:
    result, size = visit.result(FLOW), visit.image.shape[:2]
    unknown = np.full(
        (2, 1, 1), np.nan, dtype=np.float32
    )  # dark: an empty place would look as if everything stood still
    flow = unpack(result["flow_forward"]) if "flow_forward" in result else unknown
    pictures = {"flow": resize_nearest(draw_flow(flow), *size)}
    if "disparity_t" in result and visit.recipe.depth.method != "stereo":  # else the depth shows it
        disparity = np.nan_to_num(unpack(result["disparity_t"]), nan=0.0)
        inverse = np.divide(1, disparity, out=np.zeros_like(disparity), where=disparity > 0)
        pictures["disparity"] = resize_nearest(draw_depth(inverse), *size)
    return pictures


def _objects_picture(visit: Visit) -> RGBImage:
    image = visit.image
    drawn = draw_instances(image, map_of_instances(moving_objects(visit, image.shape[0], image.shape[1])))
    reason = why_nothing_moves(visit)
    return drawn if reason is None else _captioned(drawn, reason)


def _captioned(picture: RGBImage, text: str) -> RGBImage:
    """A picture with a text over its middle, broken into lines that fit."""
    canvas = Image.fromarray(picture)
    font = ImageFont.load_default(max(canvas.width // 32, 12))
    pen, lines = ImageDraw.Draw(canvas), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pen.textlength(longer, font=font) > 0.9 * canvas.width:
            lines.append(word)
        else:
            lines[-1] = longer
    pen.multiline_text(
        (canvas.width // 2, canvas.height // 2), "\n".join(lines), (255, 255, 255), font, anchor="mm", align="center"
    )
    return np.array(canvas)
