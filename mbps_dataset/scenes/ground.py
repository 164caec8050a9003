"""The ground: carriageway with markings, parking lanes, kerbs, verges, pavements and the land around.

The street is cut into sections along its arc, short near the camera and long far away; strips of neighbouring sections
share their corners, so that there are no gaps.
"""

from __future__ import annotations

import random

import numpy as np

from mbps_dataset.scenes.layout import Plan, Side
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.palette import mix
from mbps_dataset.scenes.primitives import Colour, PartsBuilder, Point


KERB_M = 0.12
ROAD, SIDEWALK, PARKING, RAIL, TERRAIN = 7, 8, 9, 10, 22


def add_ground(plan: Plan, parts: PartsBuilder) -> None:
    """All ground of `plan`; labels road, sidewalk, parking, rail track, terrain."""
    rng = random.Random(repr(sorted(plan.colours.items())))
    tone = plan.colours["road"]
    road = mix((0.3, 0.3, 0.315), (0.5, 0.49, 0.48), tone)
    pavement = mix((0.46, 0.45, 0.44), (0.66, 0.62, 0.57), plan.colours["pavement"])
    grass = mix((0.26, 0.36, 0.14), (0.46, 0.43, 0.24), plan.colours["grass"] ** 1.5)
    _land(plan, parts, grass, pavement)
    cuts = _sections(plan)
    _strip(plan, parts, cuts, -plan.half_road, plan.half_road, 0.0, ROAD, Material.ROAD, road)
    for side in plan.sides:
        _side(plan, side, parts, cuts, road, pavement, grass)
    _crossing(plan, parts, road)
    _markings(plan, parts, rng)
    if plan.rail:
        _rails(plan, parts, cuts)


def _sections(plan: Plan) -> list[float]:
    """Cuts along the street; the ends of the crossing are among them."""
    cuts = [-12.0, 2.0] + [2.0 + 5.0 * 1.22**k for k in range(18)]
    cuts = [c for c in cuts if c < 140] + [145.0]
    if plan.crossing is not None:
        cuts = [c for c in cuts if abs(c - plan.crossing[0]) > 1 and abs(c - plan.crossing[1]) > 1]
        cuts = sorted(cuts + list(plan.crossing))
    if abs(plan.curvature) < 1e-7:
        ends = plan.crossing or ()
        cuts = [-12.0, *ends, 145.0]
    return cuts


def _corner(plan: Plan, along: float, lateral: float, z: float) -> Point:
    x, y, _ = plan.place(along, lateral)
    return x, y, z


def _strip(
    plan: Plan, parts: PartsBuilder, cuts: list[float], left: float, right: float, z: float, label: int,
    material: Material, colour: Colour, *, over_crossing: bool = True, top: float | None = None,
) -> None:  # fmt: skip
    """Faces between two lateral positions, left < right; with `top` an upright face from `z` to `top` instead."""
    corners = []
    for a, b in zip(cuts[:-1], cuts[1:]):
        if not over_crossing and plan.in_crossing((a + b) / 2):
            continue
        if top is None:
            points = ((a, left, z), (a, right, z), (b, right, z), (b, left, z))
        elif left > 0:  # seen from the middle of the street, from the left
            points = ((b, left, z), (a, left, z), (a, left, top), (b, left, top))
        else:
            points = ((a, left, z), (b, left, z), (b, left, top), (a, left, top))
        corners.append([_corner(plan, *point) for point in points])
    parts.owner(label)
    parts.quads(corners, material, colour)


def _across(sign: int, near: float, far: float) -> tuple[float, float]:
    """Left and right end of a strip from `near` to `far` on the side `sign`."""
    return (near, far) if sign > 0 else (-far, -near)


def _side(
    plan: Plan, side: Side, parts: PartsBuilder, cuts: list[float], road: Colour, pavement: Colour, grass: Colour
) -> None:
    half, kerb = plan.half_road, side.kerb(plan.half_road)
    if side.parking:
        label, material = (PARKING, Material.COBBLES) if plan.parking_is_paved else (ROAD, Material.ROAD)
        colour = mix(pavement, road, 0.5) if plan.parking_is_paved else road
        _strip(plan, parts, cuts, *_across(side.sign, half, kerb), 0.0, label, material, colour)
    stone = mix((0.5, 0.5, 0.49), (0.68, 0.66, 0.63), plan.colours["kerb"])
    lateral = side.sign * kerb
    _strip(plan, parts, cuts, lateral, lateral, 0.0, SIDEWALK, Material.KERB, stone, over_crossing=False, top=KERB_M)
    start = kerb + 0.15

    def raised(near: float, far: float, label: int, material: Material, colour: Colour) -> None:
        _strip(plan, parts, cuts, *_across(side.sign, near, far), KERB_M, label, material, colour, over_crossing=False)

    raised(kerb, start, SIDEWALK, Material.KERB, stone)
    if side.verge:
        end = start + side.verge
        raised(start, end, TERRAIN, Material.GRASS, grass)
        start = end
    line = side.line(half)
    material = Material.SIDEWALK if plan.colours["pavement"] > 0.35 else Material.PAVEMENT
    if line > start:
        raised(start, line, SIDEWALK, material, pavement)
    if side.setback:
        label, material, colour = TERRAIN, Material.GRASS, grass
        if plan.kind in ("city", "avenue"):
            label, material, colour = SIDEWALK, Material.PAVEMENT, pavement
        end = line + side.setback + 1
        raised(line, end, label, material, colour)


def _land(plan: Plan, parts: PartsBuilder, grass: Colour, pavement: Colour) -> None:
    """Everything beyond, just below the street."""
    green = plan.kind in ("suburb", "outskirts")
    parts.owner(TERRAIN if green else SIDEWALK)
    parts.quads(
        [[(-260, -20, -0.05), (260, -20, -0.05), (260, 420, -0.05), (-260, 420, -0.05)]],
        Material.GRASS if green else Material.PAVEMENT,
        grass if green else pavement,
    )


def _crossing(plan: Plan, parts: PartsBuilder, road: Colour) -> None:
    if plan.crossing is None:
        return
    a, b = plan.crossing
    parts.owner(ROAD)
    corners = []
    for left, right in ((-70.0, -plan.half_road), (plan.half_road, 70.0)):
        points = ((a, left), (a, right), (b, right), (b, left))
        corners.append([_corner(plan, along, lateral, -0.003) for along, lateral in points])
    parts.quads(corners, Material.ROAD, road)


def _patch(plan: Plan, a: float, b: float, left: float, right: float, z: float = 0.0) -> list[Point]:
    return [_corner(plan, *point, z) for point in ((a, left), (a, right), (b, right), (b, left))]


def _markings(plan: Plan, parts: PartsBuilder, rng: random.Random) -> None:
    """Lines, zebra, and the darker patches and covers of a used road."""
    parts.owner(ROAD)
    white: Colour = (0.82, 0.82, 0.8)
    lines: list[list[Point]] = []
    lane = plan.half_road / max(plan.lanes / 2, 1)
    dividers = [0.0] if plan.lanes <= 3 else [-lane, 0.0, lane]
    style = rng.random()
    for lateral in dividers:
        dash, gap = (60.0, 0.0) if (style < 0.25 and lateral == 0.0) or style < 0.1 else (3.0, rng.choice((4.5, 6.0)))
        along = -10 + rng.uniform(0, 5)
        while along < 95 and not (plan.kind == "suburb" and style > 0.6):
            end = min(along + min(dash, 6.0), 120)
            if not plan.in_crossing((along + end) / 2, 4):
                lines.append(_patch(plan, along, end, lateral - 0.07, lateral + 0.07))
            along = end + gap
    for side in plan.sides:
        if rng.random() < 0.5:
            edge = side.sign * (plan.half_road - (0.0 if side.parking else 0.35))
            for along in np.arange(-10.0, 100.0, 10.0).tolist():
                if not plan.in_crossing(along + 5, 5.5):
                    lines.append(_patch(plan, along, along + 10, edge - 0.06, edge + 0.06))
    if plan.crossing is not None:
        start = plan.crossing[0]
        for k in range(int(2 * plan.half_road)):
            left = -plan.half_road + 0.25 + k
            lines.append(_patch(plan, start - 4.0, start - 1.2, left, left + 0.5))
        lines.append(_patch(plan, start - 5.6, start - 5.2, 0.1, plan.half_road - 0.2))
    parts.quads(lines, Material.PAINT, white)
    tone = rng.uniform(0.16, 0.34)
    patches = []
    for _ in range(rng.randint(2, 7)):
        along, left = rng.uniform(3, 50), rng.uniform(-plan.half_road, plan.half_road - 1.2)
        patches.append(_patch(plan, along, along + rng.choice((0.7, 2.0, 8.0)), left, left + rng.uniform(0.6, 1.2)))
    parts.quads(patches, Material.PATCH, (tone, tone, tone * 1.02))


def _rails(plan: Plan, parts: PartsBuilder, cuts: list[float]) -> None:
    """Grooved rails in the left lane, in a bed of setts."""
    lane = plan.half_road / max(plan.lanes / 2, 1)
    parts.owner(RAIL)
    bed, rails = [], []
    for a, b in zip(cuts[:-1], cuts[1:]):
        bed.append(_patch(plan, a, b, -lane * 0.5 - 1.1, -lane * 0.5 + 1.1, 0.004))
        for offset in (-0.72, 0.72):
            middle = -lane * 0.5 + offset
            rails.append(_patch(plan, a, b, middle - 0.05, middle + 0.05, 0.004))
    parts.quads(bed, Material.COBBLES, (0.36, 0.34, 0.33))
    parts.quads(rails, Material.PATCH, (0.55, 0.54, 0.52))
