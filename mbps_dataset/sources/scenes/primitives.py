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

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes.materials import Material


Colour = tuple[float, float, float]
"""Red, green, blue as displayed, 0 … 1."""

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


@dataclass
class _Column:
    shape: list[NDArray[np.float64]] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    material: list[int] = field(default_factory=list)
    colour: list[Colour] = field(default_factory=list)
    accent: list[Colour] = field(default_factory=list)
    parameters: list[Sequence[float]] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    instance: list[int] = field(default_factory=list)

    def add(self, shape, material, colour, accent, parameters, label, instance) -> None:
        self.shape.append(shape)
        self.count.append(len(shape))
        self.material.append(int(material))
        self.colour.append(colour)
        self.accent.append(accent)
        self.parameters.append(tuple(parameters) + (0.0,) * (PARAMETERS - len(parameters)))
        self.label.append(label)
        self.instance.append(instance)

    def gather(self) -> Parts:
        def spread(values, dtype, width=0):
            array = np.array(values, dtype).reshape(-1, width) if width else np.array(values, dtype)
            return np.repeat(array, self.count, axis=0)

        shape = np.concatenate(self.shape) if self.shape else np.zeros((0, 4, 3))
        return Parts(
            shape,
            spread(self.material, np.int32),
            spread(self.colour, np.float32, 3),
            spread(self.accent, np.float32, 3),
            spread(self.parameters, np.float32, PARAMETERS),
            spread(self.label, np.uint8),
            spread(self.instance, np.int32),
        )


class Placement:
    """Where an object stands: local axes x forward, y left, z up → world. `heading` clockwise from the y axis."""

    def __init__(self, x: float, y: float, z: float = 0.0, heading: float = 0.0) -> None:
        s, c = math.sin(heading), math.cos(heading)
        self.rotation = np.array([[s, c, 0.0], [-c, s, 0.0], [0.0, 0.0, 1.0]])
        self.origin = np.array([x, y, z])

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points @ self.rotation + self.origin


class PartsBuilder:
    """Collects the parts of a scene. `label` and `instance` apply to everything added until they change."""

    def __init__(self) -> None:
        self._quads = _Column()
        self._ellipsoids = _Column()
        self.label = 0
        self.instance = -1

    def owner(self, label: int, instance: int = -1) -> None:
        """From now on parts belong to this label id and object number (−1: stuff)."""
        self.label, self.instance = label, instance

    def quads(
        self,
        corners: NDArray[np.float64] | Sequence,
        material: Material,
        colour: Colour,
        accent: Colour = (0.0, 0.0, 0.0),
        parameters: Sequence[float] = (),
        place: Placement | None = None,
    ) -> None:
        """Add quadrilaterals [N, 4, 3], in world axes or in those of `place`."""
        corners = np.asarray(corners, np.float64).reshape(-1, 4, 3)
        corners = corners if place is None else place(corners)
        self._quads.add(corners, material, colour, accent, parameters, self.label, self.instance)

    def ellipsoids(
        self,
        shape: NDArray[np.float64] | Sequence,
        material: Material,
        colour: Colour,
        accent: Colour = (0.0, 0.0, 0.0),
        parameters: Sequence[float] = (),
        place: Placement | None = None,
    ) -> None:
        """Add ellipsoids [N, 4, 3]: centre, then the three semi-axes as vectors."""
        shape = np.asarray(shape, np.float64).reshape(-1, 4, 3)
        if place is not None:
            shape = shape @ place.rotation
            shape[:, 0] += place.origin
        self._ellipsoids.add(shape, material, colour, accent, parameters, self.label, self.instance)

    def gather(self) -> tuple[Parts, Parts]:
        """All quadrilaterals and all ellipsoids added so far."""
        return self._quads.gather(), self._ellipsoids.gather()


FRONT, REAR, LEFT, RIGHT, TOP = range(5)


def hexahedron(
    bottom: tuple[float, float, float, float, float], top: tuple[float, float, float, float, float]
) -> NDArray[np.float64]:
    """Front, rear, left, right and top face [5, 4, 3] of a box whose top and bottom (x0, x1, y0, y1, z) differ."""
    a0, a1, b0, b1, z0 = bottom
    c0, c1, d0, d1, z1 = top
    return np.array(
        [
            [(a1, b0, z0), (a1, b1, z0), (c1, d1, z1), (c1, d0, z1)],
            [(a0, b1, z0), (a0, b0, z0), (c0, d0, z1), (c0, d1, z1)],
            [(a1, b1, z0), (a0, b1, z0), (c0, d1, z1), (c1, d1, z1)],
            [(a0, b0, z0), (a1, b0, z0), (c1, d0, z1), (c0, d0, z1)],
            [(c0, d0, z1), (c1, d0, z1), (c1, d1, z1), (c0, d1, z1)],
        ]
    )


def box(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float) -> NDArray[np.float64]:
    """Front, rear, left, right and top face [5, 4, 3] of an upright box."""
    return hexahedron((x0, x1, y0, y1, z0), (x0, x1, y0, y1, z1))


def prism(
    x: float, y: float, radius: float, z0: float, z1: float, sides: int, tip: float = 1.0
) -> NDArray[np.float64]:
    """Faces [sides, 4, 3] of an upright column; its radius at the top is `tip` times that at the foot."""
    angle = (np.arange(sides + 1) + 0.5) * (2 * math.pi / sides)
    c, s = radius * np.cos(angle), radius * np.sin(angle)
    faces = np.empty((sides, 4, 3))
    faces[:, 0], faces[:, 1] = _ring(x, y, c[:-1], s[:-1], z0), _ring(x, y, c[1:], s[1:], z0)
    faces[:, 2], faces[:, 3] = _ring(x, y, tip * c[1:], tip * s[1:], z1), _ring(x, y, tip * c[:-1], tip * s[:-1], z1)
    return faces


def _ring(x: float, y: float, c: NDArray, s: NDArray, z: float) -> NDArray[np.float64]:
    return np.stack([x + c, y + s, np.full_like(c, z)], axis=1)


def ball(centre: Sequence[float], radii: Sequence[float]) -> NDArray[np.float64]:
    """An ellipsoid [4, 3] along the axes."""
    return np.vstack([centre, np.diag(radii)])


def limb(start: Sequence[float], end: Sequence[float], radius: float) -> NDArray[np.float64]:
    """A slender ellipsoid [4, 3] from `start` to `end`."""
    p, q = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = q - p
    length = float(np.sqrt(along @ along))
    axis = along / length
    side = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    side = side - axis * (side @ axis)
    side /= math.sqrt(side @ side)
    third = np.array(
        [
            axis[1] * side[2] - axis[2] * side[1],
            axis[2] * side[0] - axis[0] * side[2],
            axis[0] * side[1] - axis[1] * side[0],
        ]
    )
    return np.vstack([0.5 * (p + q), axis * (0.5 * length + 0.4 * radius), side * radius, third * radius])


def bar(start: Sequence[float], end: Sequence[float], width: float) -> NDArray[np.float64]:
    """Two crossing strips [2, 4, 3] that read as a thin tube from `start` to `end`, both with y as one width axis."""
    p, q = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = (q - p) / math.sqrt(float((q - p) @ (q - p)))
    side = np.array([0.0, 1.0, 0.0]) * (width / 2)
    if abs(along[1]) > 0.9:
        side = np.array([1.0, 0.0, 0.0]) * (width / 2)
    up = np.cross(along, side)
    return np.array([[p - side, p + side, q + side, q - side], [p - up, p + up, q + up, q - up]])
