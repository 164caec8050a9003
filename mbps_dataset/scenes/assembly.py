"""From the plan to parts at one moment, and to the outlines that throw shadows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mbps_dataset.scenes import buildings, furniture, people, vehicles
from mbps_dataset.scenes.ground import add_ground
from mbps_dataset.scenes.layout import Plan, Thing
from mbps_dataset.scenes.primitives import Parts, PartsBuilder
from mbps_dataset.scenes.projection import Screen
from mbps_dataset.scenes.weather import Footprint


_STILL: dict[str, Callable[[Thing, PartsBuilder], None]] = {
    "building": buildings.add_building,
    "fence": buildings.add_fence,
    "wall": buildings.add_wall,
    "hedge": buildings.add_hedge,
    "guard rail": buildings.add_guard_rail,
    "tree": furniture.add_tree,
    "conifer": furniture.add_conifer,
    "bush": furniture.add_bush,
    "lamp": furniture.add_lamp,
    "sign": furniture.add_sign,
    "signal": furniture.add_signal,
    "bin": furniture.add_bin,
    "bollard": furniture.add_bollard,
    "car": vehicles.add_car,
    "van": vehicles.add_van,
    "truck": vehicles.add_truck,
    "bus": vehicles.add_bus,
    "tram": vehicles.add_tram,
}
_ANIMATED: dict[str, Callable[[Thing, PartsBuilder, float], None]] = {
    "person": people.add_person,
    "bicycle": people.add_bicycle,
    "motorcycle": people.add_motorcycle,
    "cyclist": people.add_cyclist,
    "motorcycle rider": people.add_motorcycle_rider,
}


# no part of an object lies farther from its place than this, in metres (times its size for plants)
_REACH = {
    "lamp": 3.0, "sign": 2.0, "signal": 4.5, "bin": 1.0, "bollard": 0.5, "car": 3.0, "van": 3.5, "truck": 6.0,
    "bus": 7.0, "tram": 16.0, "person": 1.0, "bicycle": 1.5, "motorcycle": 1.5, "cyclist": 1.5, "motorcycle rider": 1.5,
    "tree": 4.0, "conifer": 2.5, "bush": 2.0,
}  # fmt: skip


def _reach(thing: Thing) -> float:
    if thing.kind == "building":
        return 0.5 * math.hypot(thing.size[0], thing.size[1]) + 2.0
    if thing.kind in ("fence", "wall", "hedge", "guard rail"):
        return 0.5 * thing.size[0] + 1.0
    return _REACH[thing.kind] * (thing.size[0] if thing.kind in ("tree", "conifer", "bush") else 1.0)


def _in_view(x: float, y: float, reach: float, screen: Screen) -> bool:
    """False if nothing within `reach` of the place can be in the picture; allows for a tilted camera."""
    k, pose = screen.intrinsics, screen.pose
    dx, dy = x - pose[0, 3], y - pose[1, 3]
    ahead = dx * pose[0, 2] + dy * pose[1, 2]
    across = dx * pose[0, 0] + dy * pose[1, 0]
    reach += 1.5 + 0.02 * abs(ahead)
    edge = 0.5 * screen.width / k.fx
    return ahead > -reach and abs(across) - edge * ahead < reach * math.sqrt(1 + edge * edge)


def assemble(plan: Plan, time: float, screen: Screen, *, moved_to: float | None = None) -> tuple[Parts, Parts]:
    """Faces and ellipsoids of everything that `screen` may show at `time`; the same parts where they are at `moved_to`."""
    parts = PartsBuilder()
    add_ground(plan, parts)
    for thing in plan.things:
        if not _in_view(*thing.at(time), _reach(thing), screen):
            continue
        now = time if moved_to is None else moved_to
        x, y = thing.at(now)
        moved = replace(thing, x=x, y=y)
        if thing.kind in _STILL:
            _STILL[thing.kind](moved, parts)
        else:
            _ANIMATED[thing.kind](moved, parts, now)
    return parts.gather()


# half length, half width, height, lower edge of what throws the shadow
_SIZES: dict[str, tuple[float, float, float]] = {
    "car": (2.2, 0.9, 1.3),
    "van": (2.6, 1.0, 2.2),
    "truck": (3.8, 1.2, 3.1),
    "bus": (5.4, 1.25, 3.0),
    "tram": (13.5, 1.2, 3.4),
    "person": (0.22, 0.25, 1.6),
    "cyclist": (0.8, 0.15, 1.4),
    "bicycle": (0.8, 0.05, 0.9),
    "motorcycle": (0.9, 0.2, 1.0),
    "motorcycle rider": (0.9, 0.25, 1.5),
    "bin": (0.4, 0.3, 1.1),
    "lamp": (0.1, 0.1, 6.0),
    "sign": (0.06, 0.3, 2.5),
    "signal": (0.1, 0.1, 3.3),
}


def footprints(plan: Plan, time: float) -> list[Footprint]:
    """Outlines of everything near enough to throw a shadow worth seeing."""
    result = []
    for thing in plan.things:
        x, y = thing.at(time)
        if y > 90:
            continue
        if thing.kind in ("tree", "conifer", "bush"):
            radius = 1.9 * thing.size[0]
            lift = 0.0 if thing.kind == "bush" else 2.2 * thing.size[0]
            result.append(Footprint(furniture.crown_outline(x, y, radius), lift + 2.0 * radius * 0.8, lift))
            if lift:
                result.append(Footprint(furniture.crown_outline(x, y, 0.2, 5), lift))
        elif thing.kind == "building":
            result.append(
                Footprint(
                    _outline(x, y, thing.heading + math.pi / 2, thing.size[1] / 2, thing.size[0] / 2), thing.size[2]
                )
            )
        elif thing.kind in ("fence", "wall", "hedge"):
            half = 0.45 if thing.kind == "hedge" else 0.15
            result.append(Footprint(_outline(x, y, thing.heading, thing.size[0] / 2, half), 1.4))
        elif thing.kind in _SIZES:
            length, width, height = _SIZES[thing.kind]
            result.append(Footprint(_outline(x, y, thing.heading, length, width), height))
    return result


def _outline(x: float, y: float, heading: float, length: float, width: float) -> np.ndarray:
    """Rectangle [4, 2] around a point, `length` and `width` being halves."""
    s, c = math.sin(heading), math.cos(heading)
    forward, left = np.array([s, c]) * length, np.array([-c, s]) * width
    centre = np.array([x, y])
    return np.array(
        [centre - forward - left, centre + forward - left, centre + forward + left, centre - forward + left]
    )
