"""Trees and bushes, lamps, signs, signals, bins and bollards."""

from __future__ import annotations

import math
import random

import numpy as np

from mbps_dataset.scenes import palette
from mbps_dataset.scenes.layout import Thing
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import (
    FRONT,
    LEFT,
    RIGHT,
    TOP,
    Colour,
    PartsBuilder,
    Placement,
    ball,
    bar,
    box,
    prism,
)


POLE, SIGNAL, SIGN, VEGETATION, STATIC = 17, 19, 20, 21, 4


def add_tree(thing: Thing, parts: PartsBuilder) -> None:
    """Trunk, boughs and a crown of leafy blobs. `thing.size`: scale."""
    rng = random.Random(thing.seed)
    scale = thing.size[0]
    place = Placement(thing.x, thing.y, thing.z, rng.uniform(0, 6.28))
    leaf = palette.vary(rng, rng.choices(palette.LEAF, palette.LEAF_WEIGHTS)[0], 0.08)
    bark = palette.vary(rng, rng.choice(((0.3, 0.24, 0.19), (0.38, 0.34, 0.3), (0.24, 0.2, 0.18), (0.5, 0.48, 0.45))))
    stem, crown, height = rng.uniform(1.9, 3.0) * scale, rng.uniform(1.3, 2.3) * scale, rng.uniform(1.6, 2.6) * scale
    radius = rng.uniform(0.1, 0.2) * scale
    parts.owner(VEGETATION)
    parts.quads(
        prism(0, 0, radius, 0, stem + height * 0.7, 3 if thing.far else 6, 0.6), Material.BARK, bark, place=place
    )
    blobs = []
    count = rng.randint(4, 5) if thing.far else rng.randint(6, 8)
    for k in range(count):
        angle = 2 * math.pi * k / (count - 1) + rng.uniform(-0.3, 0.3)
        reach = crown * rng.uniform(0.4, 0.62) if k else 0.0
        z = stem + height * (rng.uniform(0.35, 1.0) if k else 0.95)
        size = crown * (rng.uniform(0.48, 0.72) * (1.15 if thing.far else 1.0) if k else 0.8)
        blobs.append(
            ball((reach * math.cos(angle), reach * math.sin(angle), z), (size, size, size * rng.uniform(0.75, 1.05)))
        )
    parts.ellipsoids(blobs, Material.LEAVES, leaf, place=place)


def add_conifer(thing: Thing, parts: PartsBuilder) -> None:
    """A trunk with narrowing storeys of needles. `thing.size`: scale."""
    rng = random.Random(thing.seed)
    scale = thing.size[0] * rng.uniform(1.2, 1.7)
    place = Placement(thing.x, thing.y, thing.z, rng.uniform(0, 6.28))
    leaf = palette.vary(rng, rng.choice(((0.1, 0.2, 0.12), (0.16, 0.25, 0.16), (0.12, 0.18, 0.09))))
    parts.owner(VEGETATION)
    parts.quads(prism(0, 0, 0.12 * scale, 0, 1.2 * scale, 5), Material.BARK, (0.28, 0.21, 0.17), place=place)
    blobs = [
        ball((0, 0, (0.9 + 0.8 * k) * scale), ((1.25 - 0.24 * k) * scale,) * 2 + (0.8 * scale,)) for k in range(5)
    ]
    parts.ellipsoids(blobs, Material.LEAVES, leaf, place=place)


def add_bush(thing: Thing, parts: PartsBuilder) -> None:
    """A few leafy blobs on the ground. `thing.size`: scale."""
    rng = random.Random(thing.seed)
    scale = thing.size[0]
    place = Placement(thing.x, thing.y, thing.z, rng.uniform(0, 6.28))
    leaf = palette.vary(rng, rng.choices(palette.LEAF, palette.LEAF_WEIGHTS)[0], 0.08)
    parts.owner(VEGETATION)
    blobs = [
        ball((rng.uniform(-0.6, 0.6) * scale, rng.uniform(-0.6, 0.6) * scale, rng.uniform(0.4, 0.9) * scale),
             (rng.uniform(0.6, 0.9) * scale,) * 2 + (rng.uniform(0.6, 0.9) * scale,))
        for _ in range(rng.randint(2, 4))
    ]  # fmt: skip
    parts.ellipsoids(blobs, Material.LEAVES, leaf, place=place)


def add_lamp(thing: Thing, parts: PartsBuilder) -> None:
    """A street lamp. `thing.size`: side of the street, style number."""
    sign, style = thing.size
    rng = random.Random(f"lamp/{style}/{thing.seed.split('/')[0]}")
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    colour = palette.vary(
        rng,
        rng.choice((palette.STEEL, (0.2, 0.22, 0.21), (0.36, 0.37, 0.38), (0.2, 0.28, 0.24), (0.55, 0.55, 0.53))),
        0.04,
    )
    height = rng.choice((4.5, 6.5, 8.5))
    parts.owner(POLE)
    parts.quads(prism(0, 0, 0.09, 0, height, 3 if thing.far else 5, 0.6), Material.METAL, colour, place=place)
    if height < 5:
        parts.ellipsoids(
            [ball((0, 0, height + 0.15), (0.22, 0.22, 0.25))], Material.SHELL, (0.85, 0.84, 0.78), place=place
        )
    else:
        arm = sign * 1.4
        parts.quads(bar((0, 0, height - 0.1), (0, arm, height + 0.25), 0.09), Material.TUBE, colour, place=place)
        parts.quads(
            box(-0.12, 0.12, min(arm, arm + 0.5 * sign), max(arm, arm + 0.5 * sign), height + 0.18, height + 0.32),
            Material.METAL,
            colour,
            place=place,
        )


_SIGNS: tuple[tuple[Material, Colour, Colour, float], ...] = (
    (Material.SIGN_DISC, (0.9, 0.9, 0.9), (0.75, 0.08, 0.08), 0.0),
    (Material.SIGN_DISC, (0.1, 0.25, 0.6), (0.9, 0.9, 0.9), 1.0),
    (Material.SIGN_DISC, (0.72, 0.08, 0.08), (0.9, 0.9, 0.9), 2.0),
    (Material.SIGN_TRIANGLE, (0.9, 0.9, 0.9), (0.75, 0.08, 0.08), 3.0),
    (Material.SIGN_PLATE, (0.12, 0.28, 0.62), (0.9, 0.9, 0.9), 4.0),
    (Material.SIGN_PLATE, (0.85, 0.75, 0.15), (0.1, 0.1, 0.1), 5.0),
    (Material.SIGN_PLATE, (0.9, 0.9, 0.88), (0.12, 0.12, 0.14), 5.0),
    (Material.SIGN_DIAMOND, (0.9, 0.72, 0.1), (0.92, 0.92, 0.9), 6.0),
)


def add_sign(thing: Thing, parts: PartsBuilder) -> None:
    """One or two traffic signs on a post, facing the camera's lane."""
    rng = random.Random(thing.seed)
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    height = rng.uniform(2.3, 3.0)
    parts.owner(POLE)
    parts.quads(prism(0, 0, 0.035, 0, height, 4), Material.METAL, palette.STEEL, place=place)
    parts.owner(SIGN)
    top = height
    for _ in range(rng.choices((1, 2), (0.65, 0.35))[0]):
        material, face, accent, style = rng.choice(_SIGNS)
        wide = rng.uniform(0.6, 0.75) * (rng.uniform(1.2, 2.2) if style == 5.0 else 1.0)
        tall = rng.uniform(0.35, 0.5) if style == 5.0 else 0.65
        back = 1.0 if rng.random() < 0.8 else -1.0
        y, x = wide / 2 * back, -0.05 * back
        corners = [[(x, y, top - tall), (x, -y, top - tall), (x, -y, top), (x, y, top)]]
        parts.quads(
            corners,
            material,
            face if back > 0 else palette.STEEL,
            accent if back > 0 else palette.STEEL,
            (style,),
            place,
        )
        top -= tall + 0.06


def add_signal(thing: Thing, parts: PartsBuilder) -> None:
    """A traffic light on its post, sometimes with a second head on an arm. `thing.size`: side, lamp that is lit."""
    rng = random.Random(thing.seed)
    sign, lit = thing.size
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    parts.owner(POLE)
    arm = rng.random() < 0.35
    height = 5.6 if arm else 3.3
    parts.quads(
        prism(0, 0, 0.08 if arm else 0.06, 0, height, 6),
        Material.METAL,
        palette.vary(rng, (0.35, 0.36, 0.37)),
        place=place,
    )
    heads = [(0.0, 2.3)]
    if arm:
        parts.quads(
            bar((0, 0, height - 0.1), (0, sign * 3.2, height - 0.1), 0.1),
            Material.TUBE,
            (0.33, 0.34, 0.35),
            place=place,
        )
        heads.append((sign * 3.0, height - 0.75))
    parts.owner(SIGNAL)
    for y, z in heads:
        parts.quads(
            box(-0.22, -0.02, y - 0.17, y + 0.17, z, z + 0.95)[1:2],
            Material.SIGNAL,
            (0.07, 0.08, 0.07),
            parameters=(lit,),
            place=place,
        )
        faces = box(-0.22, -0.02, y - 0.17, y + 0.17, z, z + 0.95)
        parts.quads([faces[k] for k in (FRONT, LEFT, RIGHT, TOP)], Material.METAL, (0.09, 0.1, 0.09), place=place)


def add_bin(thing: Thing, parts: PartsBuilder) -> None:
    """A wheeled bin, a cabinet or a litter bin."""
    rng = random.Random(thing.seed)
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    colour = rng.choice(((0.2, 0.22, 0.22), (0.16, 0.32, 0.2), (0.45, 0.45, 0.42), (0.6, 0.45, 0.12)))
    width, height = rng.uniform(0.25, 0.5), rng.uniform(0.9, 1.4)
    parts.owner(STATIC)
    parts.quads(box(-width, width, -0.3, 0.3, 0, height), Material.METAL, palette.vary(rng, colour), place=place)


def add_bollard(thing: Thing, parts: PartsBuilder) -> None:
    """A low post."""
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    parts.owner(POLE)
    parts.quads(prism(0, 0, 0.06, 0, 0.9, 4), Material.METAL, (0.3, 0.3, 0.3), place=place)
    parts.quads(prism(0, 0, 0.065, 0.7, 0.82, 4), Material.METAL, (0.85, 0.85, 0.82), place=place)


def crown_outline(x: float, y: float, radius: float, sides: int = 7) -> np.ndarray:
    """Polygon [sides, 2] around a point, for shadows."""
    angle = np.arange(sides) * (2 * math.pi / sides)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
