"""Pedestrians, riders, bicycles and motorcycles.

People are ellipsoids for head, trunk and limbs; bicycles are spoked discs and tubes. Local axes: x forward, y left, z
up, origin on the ground.
"""

from __future__ import annotations

import math
import random

from mbps_dataset.scenes import palette
from mbps_dataset.scenes.layout import Thing
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import Colour, PartsBuilder, Placement, Point, ball, bar, limb


PERSON, RIDER, MOTORCYCLE, BICYCLE = 24, 25, 32, 33


def _head(parts: PartsBuilder, rng: random.Random, place: Placement, x: float, z: float, helmet: bool) -> None:
    skin, hair = rng.choice(palette.SKIN), rng.choice(palette.HAIR)
    cover = palette.vary(rng, rng.choice(palette.BRIGHT + palette.CAR)) if helmet else hair
    parts.ellipsoids([ball((x, 0, z), (0.105, 0.085, 0.125))], Material.FACE, skin, place=place)
    shift, grow = (-0.03, 1.12) if not helmet else (-0.01, 1.3)
    parts.ellipsoids(
        [ball((x + shift, 0, z + 0.035), (0.105 * grow, 0.09 * grow, 0.115 * grow))],
        Material.CLOTH,
        cover,
        place=place,
    )
    if not helmet and rng.random() < 0.35:
        parts.ellipsoids([ball((x - 0.07, 0, z - 0.1), (0.06, 0.1, 0.17))], Material.CLOTH, hair, place=place)


def add_person(thing: Thing, parts: PartsBuilder, time: float) -> None:
    """A pedestrian; walks if the plan gives a speed. `time` swings arms and legs."""
    rng = random.Random(thing.seed)
    scale = rng.uniform(0.92, 1.06) * (0.7 if rng.random() < 0.1 else 1.0)
    place = Placement(thing.x, thing.y, thing.z, thing.heading, scale)
    top, trousers = palette.vary(rng, rng.choice(palette.CLOTHES)), palette.vary(rng, rng.choice(palette.TROUSERS))
    skin = rng.choice(palette.SKIN)
    walking = abs(thing.velocity[0]) + abs(thing.velocity[1]) > 0
    swing = 0.28 * math.sin(rng.uniform(0, 6.28) + 0.55 * time) if walking else 0.04
    coat, bag = rng.random() < 0.35, rng.random() < 0.35
    broad = rng.uniform(0.9, 1.12)
    parts.owner(PERSON, thing.number)
    _head(parts, rng, place, 0.02, 1.64, False)
    trunk = [ball((0, 0, 1.22), (0.13, 0.205 * broad, 0.32)), ball((0, 0, 1.36), (0.11, 0.21 * broad, 0.14))]
    if coat:
        trunk.append(ball((0, 0, 0.9), (0.16, 0.21 * broad, 0.36)))
    arms = []
    for side in (1, -1):
        hand = (0.02 - side * swing, side * 0.27 * broad, 0.86)
        if thing.far:
            arms.append(limb((0, side * 0.215 * broad, 1.42), hand, 0.052))
            continue
        arms += [limb((0, side * 0.215 * broad, 1.42), ((hand[0] - 0.02) * 0.5, side * 0.26 * broad, 1.12), 0.058),
                 limb(((hand[0] - 0.02) * 0.5, side * 0.26 * broad, 1.12), hand, 0.046)]  # fmt: skip
    parts.ellipsoids(trunk + arms, Material.CLOTH, top, place=place)
    hands = [ball((0.02 - side * swing, side * 0.27 * broad, 0.82), (0.045, 0.04, 0.06)) for side in (1, -1)]
    if not thing.far:
        parts.ellipsoids(hands, Material.SKIN, skin, place=place)
    legs, shoes = [ball((0, 0, 0.94), (0.125, 0.17 * broad, 0.15))], []
    for side in (1, -1):
        foot = side * swing * 1.1
        knee = (foot * 0.5 + 0.03, side * 0.095, 0.48)
        legs += [limb((0, side * 0.09, 0.92), knee, 0.085), limb(knee, (foot, side * 0.095, 0.09), 0.062)]
        shoes.append(ball((foot + 0.05, side * 0.095, 0.045), (0.13, 0.05, 0.05)))
    parts.ellipsoids(legs, Material.CLOTH, trousers, place=place)
    parts.ellipsoids(shoes, Material.CLOTH, palette.vary(rng, (0.1, 0.09, 0.09)), place=place)
    if bag:
        shape = (
            ball((-0.17, 0, 1.25), (0.1, 0.15, 0.22))
            if rng.random() < 0.5
            else ball((0, 0.3, 0.72), (0.14, 0.06, 0.16))
        )
        parts.ellipsoids([shape], Material.CLOTH, palette.vary(rng, rng.choice(palette.CLOTHES)), place=place)


def _disc(x: float, radius: float) -> list[Point]:
    return [(x - radius, 0, 0.0), (x + radius, 0, 0.0), (x + radius, 0, 2 * radius), (x - radius, 0, 2 * radius)]


def _bicycle(parts: PartsBuilder, rng: random.Random, place: Placement) -> None:
    colour: Colour = palette.vary(rng, rng.choice(palette.BRIGHT + palette.CAR))
    radius, axle = 0.335, 0.52
    parts.quads([_disc(axle, radius), _disc(-axle, radius)], Material.SPOKES, (0.09, 0.09, 0.1), place=place)
    # a disc seen edge-on would vanish, so the tyre is also an upright strip across each hub
    tyres = [[(x, -0.02, 0.0), (x, 0.02, 0.0), (x, 0.02, 2 * radius), (x, -0.02, 2 * radius)] for x in (axle, -axle)]
    parts.quads(tyres, Material.TUBE, (0.08, 0.08, 0.085), place=place)
    seat, crank, head = (-0.18, 0, 0.86), (-0.05, 0, 0.29), (0.36, 0, 0.84)
    frame = [
        (seat, crank),
        (crank, head),
        ((-0.15, 0, 0.76), head),
        (crank, (-axle, 0, radius)),
        ((-0.15, 0, 0.74), (-axle, 0, radius)),
        (head, (axle, 0, radius)),
    ]
    parts.quads([face for a, b in frame for face in bar(a, b, 0.045)], Material.TUBE, colour, place=place)
    bars = [bar((0.36, 0, 0.82), (0.33, 0, 1.0), 0.035), bar((0.33, -0.27, 1.0), (0.33, 0.27, 1.0), 0.035)]
    parts.quads(bars[0] + bars[1], Material.TUBE, palette.STEEL, place=place)
    parts.ellipsoids([ball((-0.2, 0, 0.9), (0.13, 0.07, 0.04))], Material.CLOTH, palette.DARK, place=place)


def _motorcycle(parts: PartsBuilder, rng: random.Random, place: Placement) -> None:
    colour = palette.vary(rng, rng.choice(palette.BRIGHT + palette.CAR))
    scooter = rng.random() < 0.5
    radius, axle = (0.24, 0.58) if scooter else (0.31, 0.68)
    wheels = [ball((x, 0, radius), (radius, 0.07, radius)) for x in (axle, -axle)]
    parts.ellipsoids(wheels, Material.WHEEL, palette.TYRE, palette.RIM, (radius,), place)
    parts.ellipsoids(
        [limb((-axle, 0, 0.58), (0.0, 0, 0.52), 0.17), limb((-0.05, 0, 0.72), (0.35, 0, 0.78), 0.15), limb((axle - 0.1, 0, 0.45), (0.5, 0, 0.95), 0.11)],
        Material.SHELL, colour, place=place,
    )  # fmt: skip
    parts.ellipsoids([limb((-0.2, 0, 0.4), (0.2, 0, 0.4), 0.18)], Material.CLOTH, (0.16, 0.16, 0.17), place=place)
    parts.ellipsoids([limb((-0.7, 0, 0.78), (-0.05, 0, 0.78), 0.12)], Material.CLOTH, palette.DARK, place=place)
    parts.quads(
        bar((0.42, -0.32, 1.03), (0.42, 0.32, 1.03), 0.05) + bar((axle, 0, radius), (0.42, 0, 1.03), 0.07),
        Material.TUBE,
        palette.DARK,
        place=place,
    )
    parts.ellipsoids([ball((0.56, 0, 0.86), (0.07, 0.1, 0.1))], Material.SHELL, (0.8, 0.8, 0.76), place=place)
    parts.ellipsoids([ball((-0.88, 0, 0.68), (0.05, 0.08, 0.05))], Material.SHELL, (0.6, 0.06, 0.05), place=place)


def add_bicycle(thing: Thing, parts: PartsBuilder, time: float) -> None:
    """A parked bicycle."""
    parts.owner(BICYCLE, thing.number)
    _bicycle(parts, random.Random(thing.seed), Placement(thing.x, thing.y, thing.z, thing.heading))


def add_motorcycle(thing: Thing, parts: PartsBuilder, time: float) -> None:
    """A parked motorcycle or scooter."""
    parts.owner(MOTORCYCLE, thing.number)
    _motorcycle(parts, random.Random(thing.seed), Placement(thing.x, thing.y, thing.z, thing.heading))


def _seated(
    parts: PartsBuilder,
    rng: random.Random,
    place: Placement,
    hip: tuple[float, float],
    lean: float,
    grip: tuple[float, float, float],
    foot_z: float,
    phase: float,
    helmet: bool,
) -> None:
    top, trousers = (
        palette.vary(rng, rng.choice(palette.CLOTHES + palette.BRIGHT)),
        palette.vary(rng, rng.choice(palette.TROUSERS)),
    )
    x, z = hip
    neck = (x + 0.55 * math.sin(lean), z + 0.55 * math.cos(lean))
    _head(parts, rng, place, neck[0] + 0.07, neck[1] + 0.16, helmet)
    trunk = limb((x, 0, z), (neck[0], 0, neck[1]), 0.15, 1.35, 0.9)
    arms = []
    for side in (1, -1):
        elbow = ((neck[0] + grip[0]) / 2, side * 0.3, (neck[1] + grip[2]) / 2 - 0.1)
        arms += [
            limb((neck[0], side * 0.2, neck[1] - 0.06), elbow, 0.06),
            limb(elbow, (grip[0], side * grip[1], grip[2]), 0.048),
        ]
    parts.ellipsoids([trunk, *arms], Material.CLOTH, top, place=place)
    legs = [ball((x, 0, z - 0.02), (0.15, 0.18, 0.13))]
    shoes = []
    for side in (1, -1):
        turn = 0.17 * math.sin(phase) * side
        foot = (0.02 + 0.17 * math.cos(phase) * side, side * 0.13, foot_z + turn)
        knee = (x + 0.42, side * 0.15, (z + foot[2]) / 2 + 0.18)
        legs += [limb((x, side * 0.1, z), knee, 0.088), limb(knee, foot, 0.064)]
        shoes.append(ball((foot[0] + 0.06, foot[1], foot[2] - 0.03), (0.13, 0.05, 0.05)))
    parts.ellipsoids(legs, Material.CLOTH, trousers, place=place)
    parts.ellipsoids(shoes, Material.CLOTH, (0.1, 0.1, 0.1), place=place)


def add_cyclist(thing: Thing, parts: PartsBuilder, time: float) -> None:
    """A rider on a bicycle: two objects, rider and bicycle."""
    rng = random.Random(thing.seed)
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    parts.owner(BICYCLE, thing.second)
    _bicycle(parts, rng, place)
    parts.owner(RIDER, thing.number)
    _seated(
        parts,
        rng,
        place,
        (-0.2, 0.98),
        rng.uniform(0.15, 0.6),
        (0.33, 0.25, 1.02),
        0.3,
        rng.uniform(0, 6.28) + 0.5 * time,
        rng.random() < 0.5,
    )


def add_motorcycle_rider(thing: Thing, parts: PartsBuilder, time: float) -> None:
    """A rider on a motorcycle: two objects, rider and motorcycle."""
    rng = random.Random(thing.seed)
    place = Placement(thing.x, thing.y, thing.z, thing.heading)
    parts.owner(MOTORCYCLE, thing.second)
    _motorcycle(parts, rng, place)
    parts.owner(RIDER, thing.number)
    _seated(parts, rng, place, (-0.25, 0.92), rng.uniform(0.1, 0.35), (0.42, 0.3, 1.05), 0.4, 0.0, True)
