"""What a street contains and where: the plan that a seed stands for, before anything is drawn.

A street is a strip along an arc: carriageway, parking lanes, kerbs, verges, pavements, fronts. Four kinds of street
(city, suburb, avenue, outskirts) weigh the ingredients differently. Moving objects carry a velocity; everything else
stays. Plans use `random.Random`, whose sequence is the same on every platform and Python version. All ours.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from mbps_dataset.scenes.camera import EgoPath


FAR_M = 28.0
"""What starts farther down the street than this is made of fewer parts; a pixel is then wider than 2.5 cm."""


@dataclass(frozen=True)
class Thing:
    """One object of the plan: its `kind`, place in the world, heading (clockwise from y), velocity and own seed.

    `far` things are made of fewer parts. `number` counts objects of a label in this scene; `second` is the number of the vehicle that a rider sits on.
    """

    kind: str
    x: float
    y: float
    z: float
    heading: float
    seed: str
    number: int = -1
    second: int = -1
    velocity: tuple[float, float] = (0.0, 0.0)
    size: tuple[float, ...] = ()
    far: bool = False

    def at(self, time: float) -> tuple[float, float]:
        """Position on the ground at `time`."""
        return self.x + self.velocity[0] * time, self.y + self.velocity[1] * time


@dataclass(frozen=True)
class Side:
    """One side of the street: widths in metres outward from the carriageway."""

    sign: int
    parking: float
    verge: float
    pavement: float
    setback: float
    front: str

    def kerb(self, half_road: float) -> float:
        return half_road + self.parking

    def line(self, half_road: float) -> float:
        """Distance of the front line (fence or façade) from the middle of the street."""
        return half_road + self.parking + self.verge + self.pavement


@dataclass
class Plan:
    """The street and everything on it."""

    kind: str
    half_road: float
    curvature: float
    sides: tuple[Side, Side]
    crossing: tuple[float, float] | None
    lanes: int
    parking_is_paved: bool
    rail: bool
    colours: dict[str, float]
    ego: EgoPath
    things: list[Thing] = field(default_factory=list)
    end: float = 170.0

    def place(self, along: float, lateral: float) -> tuple[float, float, float]:
        """World x, y and heading at `along` metres down the street and `lateral` metres right of its middle."""
        angle = self.curvature * along
        if abs(self.curvature) < 1e-7:
            return lateral, along, 0.0
        x = (1 - math.cos(angle)) / self.curvature + lateral * math.cos(angle)
        y = math.sin(angle) / self.curvature - lateral * math.sin(angle)
        return x, y, angle

    def in_crossing(self, along: float, margin: float = 0.0) -> bool:
        return self.crossing is not None and self.crossing[0] - margin < along < self.crossing[1] + margin


KIND_WEIGHTS = {"city": 0.4, "suburb": 0.25, "avenue": 0.2, "outskirts": 0.15}


def draw_street(rng: random.Random) -> Plan:
    """An empty street with the camera on it."""
    kind = rng.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
    lanes = rng.choice({"city": (2, 2, 3), "suburb": (2,), "avenue": (2, 4), "outskirts": (2,)}[kind])
    half_road = lanes * rng.uniform(2.7, 3.4) / 2
    curvature = rng.choice((0.0, 0.0, 1.0)) * rng.uniform(-0.005, 0.005)
    sides = (_draw_side(rng, kind, -1), _draw_side(rng, kind, 1))
    start = rng.uniform(18, 70)
    crossing = (start, start + rng.uniform(7, 13)) if rng.random() < (0.2 if kind == "outskirts" else 0.42) else None
    ego = _draw_ego(rng, half_road, lanes, curvature)
    colours = {name: rng.random() for name in ("road", "pavement", "grass", "leaf", "kerb")}
    paved, rail = rng.random() < 0.4, kind != "suburb" and rng.random() < 0.2
    return Plan(kind, half_road, curvature, sides, crossing, lanes, paved, rail, colours, ego)


def _draw_side(rng: random.Random, kind: str, sign: int) -> Side:
    parking = 2.2 if rng.random() < {"city": 0.75, "suburb": 0.7, "avenue": 0.6, "outskirts": 0.15}[kind] else 0.0
    verge = (
        rng.uniform(0.8, 3.0)
        if rng.random() < {"city": 0.1, "suburb": 0.4, "avenue": 0.8, "outskirts": 0.6}[kind]
        else 0.0
    )
    pavement = rng.uniform(2.2, 4.5) if kind in ("city", "avenue") else rng.uniform(1.4, 2.4)
    if kind == "outskirts" and rng.random() < 0.5:
        pavement = 0.0
        verge = max(verge, 2.0)
    front = rng.choices(
        ("none", "fence", "wall", "hedge"),
        {"city": (0.85, 0.05, 0.08, 0.02), "suburb": (0.1, 0.35, 0.2, 0.35), "avenue": (0.5, 0.2, 0.15, 0.15),
         "outskirts": (0.25, 0.35, 0.2, 0.2)}[kind],
    )[0]  # fmt: skip
    setback = {"city": 0.0, "suburb": rng.uniform(3, 7), "avenue": rng.choice((0.0, 4.0)), "outskirts": 7.0}[kind]
    if front != "none":
        setback = max(setback, 2.0)
    return Side(sign, parking, verge, pavement, setback, front)


def _draw_ego(rng: random.Random, half_road: float, lanes: int, curvature: float) -> EgoPath:
    lane = half_road / max(lanes // 2, 1) if lanes > 1 else half_road
    speed = rng.uniform(0.5, 1.5)
    return EgoPath(
        x=lane * 0.5 + rng.uniform(-0.5, 0.4),
        y=0.0,
        height=rng.uniform(1.2, 1.6),
        heading=rng.gauss(0.0, 0.035),
        pitch=rng.uniform(-0.01, 0.05),
        roll=rng.gauss(0.0, 0.006),
        speed=speed,
        turn=curvature * speed + rng.gauss(0.0, 0.006),
        sway=rng.uniform(0, 6.28),
    )
