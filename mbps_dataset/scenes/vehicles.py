"""Cars, vans, lorries, buses and trams: stacked boxes with tapering sides, on wheels.

Local axes: x forward, y left, z up; the origin is on the ground under the middle.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from mbps_dataset.scenes import palette
from mbps_dataset.scenes.layout import Thing
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import (
    FRONT,
    LEFT,
    REAR,
    RIGHT,
    TOP,
    Colour,
    PartsBuilder,
    Placement,
    ball,
    box,
    hexahedron,
)


CAR, TRUCK, BUS, TRAIN = 26, 27, 28, 31


@dataclass(frozen=True)
class _Body:
    """Metres. `bonnet` and `boot`: from the bumpers to the glass at the belt; `rake`: how far the glass leans in."""

    length: float
    width: float
    height: float
    belt: float
    bonnet: float
    boot: float
    rake_front: float
    rake_rear: float


_BODIES = {
    "hatchback": _Body(4.0, 1.72, 1.48, 0.93, 0.95, 0.12, 0.75, 0.38),
    "saloon": _Body(4.55, 1.78, 1.44, 0.92, 1.15, 0.75, 0.8, 0.6),
    "estate": _Body(4.6, 1.78, 1.5, 0.94, 1.1, 0.1, 0.78, 0.4),
    "off-road": _Body(4.5, 1.88, 1.72, 1.05, 1.0, 0.1, 0.6, 0.3),
    "small": _Body(3.4, 1.62, 1.5, 0.92, 0.6, 0.08, 0.65, 0.28),
    "people carrier": _Body(4.7, 1.9, 1.78, 1.02, 0.6, 0.06, 0.8, 0.2),
}
_VAN = _Body(5.3, 1.98, 2.3, 1.12, 0.6, 0.0, 0.75, 0.05)


def _wheels(parts: PartsBuilder, place: Placement, axles: tuple[float, ...], half: float, radius: float) -> None:
    shapes = [ball((x, y, radius), (radius, 0.13, radius)) for x in axles for y in (half - 0.1, -half + 0.1)]
    parts.ellipsoids(shapes, Material.WHEEL, palette.TYRE, palette.RIM, (radius,), place)


def add_car(thing: Thing, parts: PartsBuilder) -> None:
    """A passenger car of one of several body styles."""
    rng = random.Random(thing.seed)
    body = _BODIES[rng.choice(list(_BODIES))]
    parts.owner(CAR, thing.number)
    _car(parts, thing, body, palette.vary(rng, rng.choice(palette.CAR), 0.04), rng, panel=False)


def add_van(thing: Thing, parts: PartsBuilder) -> None:
    """A delivery van or a minibus (class car, as in Cityscapes)."""
    rng = random.Random(thing.seed)
    colour = rng.choice(
        ((0.88, 0.88, 0.86), (0.85, 0.85, 0.85), (0.3, 0.31, 0.33), (0.75, 0.62, 0.15), (0.15, 0.25, 0.45))
    )
    parts.owner(CAR, thing.number)
    _car(parts, thing, _VAN, palette.vary(rng, colour, 0.03), rng, panel=rng.random() < 0.6)


def _car(parts: PartsBuilder, thing: Thing, body: _Body, colour: Colour, rng: random.Random, panel: bool) -> None:
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    x, y, belt = body.length / 2, body.width / 2, body.belt
    waist, floor = 0.62 * belt + 0.05, 0.2
    radius = 0.31 if body.height < 1.7 else 0.35
    front_axle, rear_axle = x - 0.82, -x + 0.75
    lower = hexahedron((-x + 0.05, x - 0.05, -y + 0.06, y - 0.06, floor), (-x, x, -y, y, waist))
    upper = hexahedron((-x, x, -y, y, waist), (-x + 0.1, x - 0.22, -y + 0.07, y - 0.07, belt))
    # the nose falls away from the windscreen
    for face, corners in ((FRONT, (2, 3)), (TOP, (1, 2)), (LEFT, (3,)), (RIGHT, (2,))):
        for corner in corners:
            px, py, pz = upper[face][corner]
            upper[face][corner] = (px, py, pz - 0.14 * min(body.bonnet, 1.0))
    arches = [(x - front_axle, x - rear_axle), (rear_axle + x, front_axle + x)]
    for face, axles in ((LEFT, arches[0]), (RIGHT, arches[1])):
        side = (axles[0] - 0.05, axles[1] - 0.05, radius, waist - floor)
        parts.quads([lower[face]], Material.CAR_SIDE, colour, palette.shade(colour, 0.5), side, place)
    parts.quads([upper[LEFT], upper[RIGHT], upper[TOP]], Material.CAR_PAINT, palette.shade(colour, 1.06), place=place)
    plate: Colour = (0.85, 0.85, 0.83)
    parts.quads([lower[FRONT], lower[REAR]], Material.CAR_BUMPER, colour, plate, (0.0,), place)
    parts.quads([upper[FRONT]], Material.CAR_LAMPS, colour, (0.88, 0.88, 0.84), (1.0,), place)
    parts.quads([upper[REAR]], Material.CAR_LAMPS, colour, (0.6, 0.05, 0.05), (0.0,), place)
    _cabin(parts, place, body, colour, belt, x, y, panel)
    _wheels(parts, place, (front_axle, rear_axle), y, radius)


def _cabin(
    parts: PartsBuilder, place: Placement, body: _Body, colour: Colour, belt: float, x: float, y: float, panel: bool
) -> None:
    rear, front = -x + 0.08 + body.boot, x - body.bonnet
    inset = 0.07
    cabin = hexahedron(
        (rear, front, -y + inset, y - inset, belt - 0.03),
        (rear + body.rake_rear, front - body.rake_front, -y + inset + 0.15, y - inset - 0.15, body.height),
    )
    parts.quads([cabin[FRONT], cabin[REAR]], Material.CAR_SCREEN, colour, (0.1, 0.12, 0.14), (0.0,), place)
    blind = 1.0 if panel else 0.0
    reach = front - rear
    parts.quads(
        [cabin[LEFT]],
        Material.CAR_CABIN,
        colour,
        (0.09, 0.1, 0.12),
        (blind, body.rake_front, body.rake_rear, reach),
        place,
    )
    parts.quads(
        [cabin[RIGHT]],
        Material.CAR_CABIN,
        colour,
        (0.09, 0.1, 0.12),
        (blind, body.rake_rear, body.rake_front, -reach),
        place,
    )
    parts.quads([cabin[TOP]], Material.CAR_PAINT, palette.shade(colour, 1.05), place=place)
    mirrors = [ball((front - 0.35, side * (y + 0.02), belt + 0.06), (0.08, 0.11, 0.08)) for side in (1, -1)]
    parts.ellipsoids(mirrors, Material.SHELL, palette.shade(colour, 0.85), place=place)


def add_truck(thing: Thing, parts: PartsBuilder) -> None:
    """A lorry: cab, and a box, a tarpaulin or a flat bed behind it."""
    rng = random.Random(thing.seed)
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    colour = palette.vary(rng, rng.choice(palette.CAR + palette.BRIGHT), 0.04)
    cargo = palette.vary(rng, rng.choice(((0.85, 0.85, 0.84), (0.7, 0.7, 0.68), *palette.BRIGHT, *palette.CAR)), 0.04)
    length, width, height = rng.uniform(6.2, 9.0), 2.4, rng.uniform(2.9, 3.5)
    x, y = length / 2, width / 2
    cab = x - 1.9
    parts.owner(TRUCK, thing.number)
    faces = hexahedron((cab, x, -y, y, 0.45), (cab, x - 0.15, -y + 0.06, y - 0.06, 2.6))
    parts.quads([faces[FRONT]], Material.COACH_FRONT, colour, (0.1, 0.12, 0.14), (0.0,), place)
    parts.quads(
        [faces[LEFT], faces[RIGHT]],
        Material.COACH_SIDE,
        colour,
        palette.shade(cargo, 0.8),
        (1.9, 0.45, 0.85, 0.0),
        place,
    )
    parts.quads([faces[REAR], faces[TOP]], Material.CAR_PAINT, colour, place=place)
    style = float(rng.randrange(4))
    parts.quads(
        box(-x, cab - 0.15, -y, y, 0.95, height), Material.CARGO, cargo, palette.shade(colour, 0.9), (style,), place
    )
    parts.quads(box(-x + 0.1, cab + 0.2, -y + 0.35, y - 0.35, 0.5, 0.95), Material.METAL, palette.DARK, place=place)
    lamps = [
        [
            (-x + 0.08, s * 0.95 + 0.2, 0.72),
            (-x + 0.08, s * 0.95 - 0.2, 0.72),
            (-x + 0.08, s * 0.95 - 0.2, 0.9),
            (-x + 0.08, s * 0.95 + 0.2, 0.9),
        ]
        for s in (-1, 1)
    ]
    parts.quads(lamps, Material.SHELL, (0.55, 0.06, 0.05), place=place)
    axles = (x - 0.95, -x + 1.3) if length < 7.5 else (x - 0.95, -x + 1.2, -x + 2.3)
    _wheels(parts, place, axles, y, 0.48)


def _coach(
    parts: PartsBuilder,
    thing: Thing,
    size: tuple[float, float, float],
    colour: Colour,
    accent: Colour,
    windows: tuple[float, float],
    style: float,
) -> Placement:
    length, width, height = size
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    x, y = length / 2, width / 2
    faces = hexahedron((-x, x, -y, y, 0.32), (-x + 0.05, x - 0.18, -y + 0.08, y - 0.08, height))
    parts.quads([faces[FRONT]], Material.COACH_FRONT, colour, accent, (1.0,), place)
    parts.quads([faces[REAR]], Material.COACH_FRONT, colour, accent, (2.0,), place)
    parts.quads([faces[LEFT], faces[RIGHT]], Material.COACH_SIDE, colour, accent, (1.35, *windows, style), place)
    parts.quads([faces[TOP]], Material.CAR_PAINT, palette.shade(colour, 0.9), place=place)
    return place


def add_bus(thing: Thing, parts: PartsBuilder) -> None:
    """A city bus."""
    rng = random.Random(thing.seed)
    colour = palette.vary(rng, rng.choice((*palette.BRIGHT, (0.85, 0.85, 0.8), (0.75, 0.7, 0.6))), 0.04)
    accent = rng.choice(palette.BRIGHT)
    parts.owner(BUS, thing.number)
    length = rng.uniform(9.5, 12.0)
    place = _coach(parts, thing, (length, 2.5, rng.uniform(2.95, 3.2)), colour, accent, (0.36, 0.82), 1.0)
    _wheels(parts, place, (length / 2 - 2.4, -length / 2 + 2.9), 1.25, 0.48)


def add_tram(thing: Thing, parts: PartsBuilder) -> None:
    """A tram of three sections (class train, as in Cityscapes)."""
    rng = random.Random(thing.seed)
    colour, accent = palette.vary(rng, rng.choice(palette.BRIGHT), 0.04), (0.88, 0.87, 0.82)
    parts.owner(TRAIN, thing.number)
    place = _coach(parts, thing, (rng.uniform(24, 30), 2.4, 3.4), colour, accent, (0.38, 0.8), 2.0)
    parts.quads(
        [face for k in (-4.5, 4.0) for face in box(k, k + 0.5, -1.23, 1.23, 0.3, 3.36)],
        Material.METAL,
        palette.DARK,
        place=place,
    )
    parts.quads(box(-1, 1, -0.6, 0.6, 3.4, 3.8), Material.METAL, palette.STEEL, place=place)
