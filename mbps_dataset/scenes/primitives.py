"""What objects are made of: flat quadrilaterals and ellipsoids, gathered into arrays.

Two shapes are enough for a street, and both have a closed form for the depth under every pixel (see `raster`). Objects
add their parts in metres; everything later works on the gathered arrays at once.

Corners of a quadrilateral run around it as seen from outside: bottom left, bottom right, top right, top left. Its own
coordinates start at the first corner: u in metres towards the second corner, v in metres at a right angle, upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mbps_dataset.scenes.materials import Material


Colour = tuple[float, float, float]
"""Red, green, blue as displayed, 0 … 1."""

Point = tuple[float, float, float]
"""x, y, z in metres."""

Corners = list[list[Point]]
"""Corners of N faces, [N, 4, 3], as nested lists: quicker to make than small arrays."""

PARAMETERS = 6


@dataclass(frozen=True)
class Parts:
    """Parts of one shape in arrays: N rows each, and `shape` of [N, 4, 3] corners or [N, 4, 3] centre + semi-axes."""

    shape: NDArray[np.float64]
    material: NDArray[np.int32]
    colour: NDArray[np.float32]
    accent: NDArray[np.float32]
    parameters: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.int32]


class Placement:
    """Where an object stands: local axes x forward, y left, z up → world. `heading` clockwise from the y axis.

    `matrix` holds the rows of the rotation, times `scale`, and then the origin: 12 numbers.
    """

    def __init__(self, x: float, y: float, z: float = 0.0, heading: float = 0.0, scale: float = 1.0) -> None:
        s, c = math.sin(heading) * scale, math.cos(heading) * scale
        self.matrix = (s, c, 0.0, -c, s, 0.0, 0.0, 0.0, scale, x, y, z)


_WORLD = Placement(0.0, 0.0, 0.0, math.pi / 2)
_WORLD.matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass
class _Column:
    """Parts of one shape as they are added: lists, turned into arrays once at the end."""

    shape: Corners = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    place: list[tuple[float, ...]] = field(default_factory=list)
    material: list[int] = field(default_factory=list)
    colour: list[Colour] = field(default_factory=list)
    accent: list[Colour] = field(default_factory=list)
    parameters: list[tuple[float, ...]] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    instance: list[int] = field(default_factory=list)

    def add(
        self,
        shape: Corners,
        material: Material,
        colour: Colour,
        accent: Colour,
        parameters: tuple[float, ...],
        place: Placement,
        owner: tuple[int, int],
    ) -> None:
        self.shape.extend(shape)
        self.count.append(len(shape))
        self.place.append(place.matrix)
        self.material.append(int(material))
        self.colour.append(colour)
        self.accent.append(accent)
        self.parameters.append(parameters + (0.0,) * (PARAMETERS - len(parameters)))
        self.label.append(owner[0])
        self.instance.append(owner[1])

    def gather(self, are_axes: bool) -> Parts:
        """Arrays in world coordinates; `are_axes`: only the first of the four vectors of a shape is a position."""

        def spread(values: Sequence[object], dtype: DTypeLike, width: int = 0) -> NDArray[Any]:
            array = np.array(values, dtype).reshape(-1, width) if width else np.array(values, dtype)
            return np.repeat(array, self.count, axis=0)

        numbers = chain.from_iterable(chain.from_iterable(self.shape))
        shape = np.fromiter(numbers, np.float64, 12 * len(self.shape)).reshape(-1, 4, 3)
        place = spread(self.place, np.float64, 12)
        shape = shape @ place[:, :9].reshape(-1, 3, 3)
        shape[:, : 1 if are_axes else 4] += place[:, None, 9:]
        return Parts(
            shape,
            spread(self.material, np.int32),
            spread(self.colour, np.float32, 3),
            spread(self.accent, np.float32, 3),
            spread(self.parameters, np.float32, PARAMETERS),
            spread(self.label, np.uint8),
            spread(self.instance, np.int32),
        )


class PartsBuilder:
    """Collects the parts of a scene. `label` and `instance` apply to everything added until they change."""

    def __init__(self) -> None:
        self._quads = _Column()
        self._ellipsoids = _Column()
        self._owner = (0, -1)

    def owner(self, label: int, instance: int = -1) -> None:
        """From now on parts belong to this label id and object number (−1: stuff)."""
        self._owner = (label, instance)

    def quads(
        self, corners: Corners, material: Material, colour: Colour, accent: Colour = (0.0, 0.0, 0.0),
        parameters: tuple[float, ...] = (), place: Placement = _WORLD,
    ) -> None:  # fmt: skip
        """Add quadrilaterals [N, 4, 3], in world axes or in those of `place`."""
        self._quads.add(corners, material, colour, accent, parameters, place, self._owner)

    def ellipsoids(
        self, shape: Corners, material: Material, colour: Colour, accent: Colour = (0.0, 0.0, 0.0),
        parameters: tuple[float, ...] = (), place: Placement = _WORLD,
    ) -> None:  # fmt: skip
        """Add ellipsoids [N, 4, 3]: centre, then the three semi-axes as vectors."""
        self._ellipsoids.add(shape, material, colour, accent, parameters, place, self._owner)

    def gather(self) -> tuple[Parts, Parts]:
        """All quadrilaterals and all ellipsoids added so far."""
        return self._quads.gather(are_axes=False), self._ellipsoids.gather(are_axes=True)


FRONT, REAR, LEFT, RIGHT, TOP = range(5)


def hexahedron(
    bottom: tuple[float, float, float, float, float], top: tuple[float, float, float, float, float]
) -> Corners:
    """Front, rear, left, right and top face [5, 4, 3] of a box whose top and bottom (x0, x1, y0, y1, z) differ."""
    a0, a1, b0, b1, z0 = bottom
    c0, c1, d0, d1, z1 = top
    return [
        [(a1, b0, z0), (a1, b1, z0), (c1, d1, z1), (c1, d0, z1)],
        [(a0, b1, z0), (a0, b0, z0), (c0, d0, z1), (c0, d1, z1)],
        [(a1, b1, z0), (a0, b1, z0), (c0, d1, z1), (c1, d1, z1)],
        [(a0, b0, z0), (a1, b0, z0), (c1, d0, z1), (c0, d0, z1)],
        [(c0, d0, z1), (c1, d0, z1), (c1, d1, z1), (c0, d1, z1)],
    ]


def box(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float) -> Corners:
    """Front, rear, left, right and top face [5, 4, 3] of an upright box."""
    return hexahedron((x0, x1, y0, y1, z0), (x0, x1, y0, y1, z1))


def prism(x: float, y: float, radius: float, z0: float, z1: float, sides: int, tip: float = 1.0) -> Corners:
    """Faces [sides, 4, 3] of an upright column; its radius at the top is `tip` times that at the foot."""
    angles = [(k + 0.5) * (2 * math.pi / sides) for k in range(sides + 1)]
    ring = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]
    return [
        [
            (x + a, y + b, z0),
            (x + c, y + d, z0),
            (x + tip * c, y + tip * d, z1),
            (x + tip * a, y + tip * b, z1),
        ]
        for (a, b), (c, d) in zip(ring[:-1], ring[1:])
    ]


def ball(centre: Point, radii: Point) -> list[Point]:
    """An ellipsoid [4, 3] along the axes."""
    a, b, c = radii
    return [centre, (a, 0.0, 0.0), (0.0, b, 0.0), (0.0, 0.0, c)]


def limb(start: Point, end: Point, radius: float, across: float = 1.0, deep: float = 1.0) -> list[Point]:
    """A slender ellipsoid [4, 3] from `start` to `end`; `across` and `deep` widen it along y and at right angles."""
    dx, dy, dz = (q - p for p, q in zip(start, end))
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    ax, ay, az = dx / length, dy / length, dz / length
    # the side axis is y made perpendicular to the limb, or x where the limb itself runs along y
    sx, sy, sz = (-ay * ax, 1.0 - ay * ay, -ay * az) if abs(ay) < 0.9 else (1.0 - ax * ax, -ax * ay, -ax * az)
    norm = radius / math.sqrt(sx * sx + sy * sy + sz * sz)
    sx, sy, sz = sx * norm, sy * norm, sz * norm
    tx, ty, tz = (ay * sz - az * sy, az * sx - ax * sz, ax * sy - ay * sx)
    half = 0.5 * length + 0.4 * radius
    (px, py, pz), (qx, qy, qz) = start, end
    return [
        (0.5 * (px + qx), 0.5 * (py + qy), 0.5 * (pz + qz)),
        (ax * half, ay * half, az * half),
        (sx * across, sy * across, sz * across),
        (tx * deep, ty * deep, tz * deep),
    ]


def bar(start: Point, end: Point, width: float) -> Corners:
    """Two crossing strips [2, 4, 3] that read as a thin tube from `start` to `end`."""
    _, (ax, ay, az), side, up = limb(start, end, width / 2)
    (px, py, pz), (qx, qy, qz) = start, end
    return [
        [
            (px - x, py - y, pz - z),
            (px + x, py + y, pz + z),
            (qx + x, qy + y, qz + z),
            (qx - x, qy - y, qz - z),
        ]
        for x, y, z in (side, up)
    ]
