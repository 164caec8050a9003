"""Buildings, fences, walls and guard rails."""

from __future__ import annotations

import random

from mbps_dataset.scenes import palette
from mbps_dataset.scenes.layout import Thing
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import TOP, Colour, PartsBuilder, Placement, box, hexahedron, prism


BUILDING, WALL, FENCE, GUARD_RAIL, VEGETATION = 11, 12, 13, 14, 21


def add_building(thing: Thing, parts: PartsBuilder) -> None:
    """A block with windows on every side, a flat or a pitched roof, sometimes a shop, bays or a canopy.

    `thing.size`: width along the street, depth, height, side of the street (−1, 1; 0 for the far backdrop).
    """
    rng = random.Random(thing.seed)
    width, depth, height, sign = thing.size
    place = Placement(thing.x, thing.y, 0.0, thing.heading)
    material = rng.choices(
        (Material.PLASTER, Material.BRICK, Material.STONE, Material.PANELS), (0.5, 0.22, 0.14, 0.14)
    )[0]
    tones = {Material.BRICK: palette.BRICK, Material.STONE: palette.STONE}.get(material, palette.PLASTER)
    wall = palette.vary(rng, rng.choice(tones))
    trim = palette.vary(
        rng, rng.choice(((0.85, 0.84, 0.8), (0.3, 0.22, 0.17), (0.6, 0.6, 0.6), (0.2, 0.25, 0.24))), 0.04
    )
    house = height < 9
    storey = rng.uniform(2.7, 3.5)
    height = max(round(height / storey), 1) * storey + 0.7
    shop = 1.0 if not house and rng.random() < 0.55 else 0.0
    pitch = rng.uniform(1.7, 3.2)
    pane = (rng.uniform(0.2, 0.34), rng.uniform(0.24, 0.36))
    if rng.random() < 0.12 and not house:
        pitch, pane = rng.uniform(3, 5), (0.46, rng.uniform(0.24, 0.34))
    parameters = (pitch, storey, *pane, shop, rng.randrange(4096))
    parts.owner(BUILDING)
    x, y = width / 2, depth / 2
    parts.quads(box(-x, x, -y, y, -0.1, height), material, wall, trim, parameters, place)
    roof = palette.vary(rng, rng.choice(palette.ROOF))
    if house or rng.random() < 0.4:
        _pitched_roof(parts, place, x, y, height, rng.uniform(2.2, 4.0), roof, wall, rng.random() < 0.35 and house)
    else:
        lip = rng.uniform(0.1, 0.35)
        band = hexahedron(
            (-x - 0.02, x + 0.02, -y - lip, y + lip, height - 0.35), (-x, x, -y - lip, y + lip, height + 0.1)
        )
        parts.quads(band, Material.PLAIN_WALL, palette.shade(trim, 0.95), place=place)
    if sign and not house:
        _bays(parts, place, rng, x, sign * y, sign, storey, height, wall, trim, parameters, material)


def _pitched_roof(
    parts: PartsBuilder,
    place: Placement,
    x: float,
    y: float,
    base: float,
    rise: float,
    roof: Colour,
    wall: Colour,
    across: bool,
) -> None:
    """Two slopes and two gables; the ridge runs along the street, or across it."""
    eave = 0.4
    if across:
        slopes = [
            [(x + eave, -y - eave, base - 0.3), (x + eave, y + eave, base - 0.3), (0, y + eave, base + rise), (0, -y - eave, base + rise)],
            [(-x - eave, y + eave, base - 0.3), (-x - eave, -y - eave, base - 0.3), (0, -y - eave, base + rise), (0, y + eave, base + rise)],
        ]  # fmt: skip
        gables = [
            [(x, y, base), (-x, y, base), (-x, y, base + rise), (x, y, base + rise)],
            [(-x, -y, base), (x, -y, base), (x, -y, base + rise), (-x, -y, base + rise)],
        ]
    else:
        slopes = [
            [(x + eave, y + eave, base - 0.3), (-x - eave, y + eave, base - 0.3), (-x - eave, 0, base + rise), (x + eave, 0, base + rise)],
            [(-x - eave, -y - eave, base - 0.3), (x + eave, -y - eave, base - 0.3), (x + eave, 0, base + rise), (-x - eave, 0, base + rise)],
        ]  # fmt: skip
        gables = [
            [(x, -y, base), (x, y, base), (x, y, base + rise), (x, -y, base + rise)],
            [(-x, y, base), (-x, -y, base), (-x, -y, base + rise), (-x, y, base + rise)],
        ]
    parts.quads(slopes, Material.ROOF, roof, place=place)
    parts.quads(gables, Material.GABLE, wall, place=place)
    chimney = x * 0.45
    parts.quads(
        box(chimney, chimney + 0.7, -0.35, 0.35, base + rise * 0.5, base + rise + 0.9),
        Material.BRICK_WALL,
        (0.45, 0.28, 0.22),
        place=place,
    )


def _bays(
    parts: PartsBuilder,
    place: Placement,
    rng: random.Random,
    x: float,
    front: float,
    sign: float,
    storey: float,
    height: float,
    wall: Colour,
    trim: Colour,
    parameters: tuple[float, ...],
    material: Material,
) -> None:
    """Something that stands out of the façade: a bay, balconies, or a canopy over the shop."""
    kind = rng.choice(("none", "bay", "balconies", "canopy"))
    out = sign * 1.0  # the street lies towards +y (left) of a building on the right side, sign = 1
    y0 = front
    if kind == "bay" and height > 2.5 * storey:
        a = rng.uniform(-x * 0.6, x * 0.2)
        y = sorted((y0, y0 + out * 0.9))
        parts.quads(
            box(a, a + parameters[0] * 1.2, y[0], y[1], storey, height - 0.8),
            material,
            palette.shade(wall, 1.05),
            trim,
            (*parameters[:4], 0.0, parameters[5]),
            place,
        )
    elif kind == "balconies":
        a = rng.uniform(-x * 0.7, x * 0.2)
        y = sorted((y0, y0 + out * 1.1))
        for k in range(1, int(height / storey)):
            parts.quads(
                box(a, a + 3.0, y[0], y[1], k * storey + 0.05, k * storey + 1.0),
                Material.PLAIN_WALL,
                palette.shade(trim, 0.9),
                place=place,
            )
    elif kind == "canopy":
        y = sorted((y0, y0 + out * 1.3))
        a = rng.uniform(-x * 0.8, 0)
        colour = palette.vary(rng, rng.choice(palette.BRIGHT))
        top = (a, a + x, y[0] if out > 0 else y[1] - 0.1, y[0] + 0.1 if out > 0 else y[1], 3.1)
        parts.quads(hexahedron((a, a + x, y[0], y[1], 2.5), top), Material.PLAIN_WALL, colour, place=place)


def add_fence(thing: Thing, parts: PartsBuilder) -> None:
    """A section of railing, pickets, boards or mesh between posts. `thing.size`: length, style number."""
    length, style = thing.size
    rng = random.Random(f"fence/{style}/{thing.seed.split('/')[0]}")
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    kind = rng.choice((Material.BARS, Material.PICKETS, Material.WOOD, Material.MESH))
    colour: Colour = rng.choice(((0.12, 0.14, 0.13), (0.1, 0.22, 0.15), (0.75, 0.74, 0.7), (0.42, 0.4, 0.4)))
    if kind in (Material.PICKETS, Material.WOOD):
        colour = palette.vary(
            rng, rng.choice(((0.45, 0.33, 0.22), (0.36, 0.27, 0.2), (0.8, 0.79, 0.76), (0.55, 0.48, 0.4)))
        )
    height = rng.uniform(1.0, 1.8)
    x = length / 2
    parts.owner(FENCE)
    parts.quads([[(-x, 0, 0), (x, 0, 0), (x, 0, height), (-x, 0, height)]], kind, colour, place=place)
    posts = prism(-x + 0.04, 0, 0.05, 0, height + 0.08, 4) + prism(0, 0, 0.04, 0, height + 0.03, 4)
    parts.quads(posts, Material.METAL, palette.shade(colour, 0.85), place=place)


def add_wall(thing: Thing, parts: PartsBuilder) -> None:
    """A section of garden wall with a coping. `thing.size`: length, style number."""
    length, style = thing.size
    rng = random.Random(f"wall/{style}/{thing.seed.split('/')[0]}")
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    material = rng.choice((Material.BRICK_WALL, Material.STONE_WALL, Material.PLAIN_WALL))
    tones = {Material.BRICK_WALL: palette.BRICK, Material.STONE_WALL: palette.STONE}.get(material, palette.PLASTER)
    colour, height, x = palette.vary(rng, rng.choice(tones)), rng.uniform(0.7, 2.3), length / 2
    parts.owner(WALL)
    parts.quads(box(-x, x, -0.13, 0.13, 0, height), material, colour, place=place)
    parts.quads(
        box(-x, x, -0.18, 0.18, height, height + 0.08), Material.PLAIN_WALL, palette.shade(colour, 1.1), place=place
    )


def add_hedge(thing: Thing, parts: PartsBuilder) -> None:
    """A trimmed hedge. `thing.size`: length, style number."""
    length, style = thing.size
    rng = random.Random(f"hedge/{style}/{thing.seed.split('/')[0]}")
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    colour = palette.vary(rng, rng.choices(palette.LEAF, palette.LEAF_WEIGHTS)[0])
    height, depth, x = rng.uniform(0.9, 2.2), rng.uniform(0.35, 0.6), length / 2
    parts.owner(VEGETATION)
    faces = box(-x, x, -depth, depth, 0, height)
    parts.quads(faces[:4], Material.HEDGE, colour, place=place)
    faces[TOP] = [(px, py, pz - 0.12) for px, py, pz in faces[TOP]]
    parts.quads(faces[4:], Material.HEDGE_TOP, palette.shade(colour, 1.15), place=place)


def add_guard_rail(thing: Thing, parts: PartsBuilder) -> None:
    """A steel beam on posts. `thing.size`: length."""
    place, x = Placement(thing.x, thing.y, thing.z, thing.heading), thing.size[0] / 2
    parts.owner(GUARD_RAIL)
    beams = [
        box(-x, x, -0.05, 0.05, 0.45, 0.58),
        box(-x, x, -0.05, 0.05, 0.62, 0.75),
        box(-x, x, -0.02, 0.02, 0.55, 0.65),
    ]
    posts = [box(k - 0.05, k + 0.05, -0.04, 0.04, 0, 0.7) for k in (-x / 2, x / 2)]
    parts.quads([face for faces in beams + posts for face in faces], Material.METAL, (0.6, 0.61, 0.62), place=place)
