"""The materials of a street: which texture at which grain, which pattern on top, which outline cut out of the face.

A material says how a surface looks apart from its colour, which every object chooses anew, so that no class can be
told by its colour alone. All values are ours, by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mbps_dataset.scenes import textures


class Pattern(IntEnum):
    """Structure drawn over the texture of a face, from its own coordinates (see `patterns`)."""

    NONE = 0
    FACADE = 1
    SCREEN = 2
    CABIN = 3
    CAR_SIDE = 4
    LAMPS = 5
    BUMPER = 6
    COACH_SIDE = 7
    COACH_FRONT = 8
    CARGO = 9
    SIGN = 10
    SIGNAL = 11
    WHEEL = 12
    FOLIAGE = 13
    GABLE = 14
    FACE = 15


class Cutout(IntEnum):
    """Outline of a face that is not its quadrilateral (see `cutouts`)."""

    NONE = 0
    DISC = 1
    TRIANGLE = 2
    SPOKES = 3
    BARS = 4
    PICKETS = 5
    MESH = 6
    TUFTS = 7
    LEAVES = 8
    DIAMOND = 9


@dataclass(frozen=True)
class _Row:
    texture: int = textures.SMOOTH
    texel_m: float = 0.01
    contrast: float = 0.1
    pattern: Pattern = Pattern.NONE
    cutout: Cutout = Cutout.NONE
    two_sided: bool = False
    ground: bool = False
    decal: bool = False
    gloss: float = 0.0


class Material(IntEnum):
    """Index into the tables below."""

    ROAD = 0
    PAINT = 1
    SIDEWALK = 2
    PAVEMENT = 3
    COBBLES = 4
    KERB = 5
    GRASS = 6
    PLASTER = 7
    BRICK = 8
    STONE = 9
    PANELS = 10
    ROOF = 11
    PLAIN_WALL = 12
    BRICK_WALL = 13
    STONE_WALL = 14
    WOOD = 15
    BARS = 16
    PICKETS = 17
    MESH = 18
    HEDGE = 19
    HEDGE_TOP = 20
    BARK = 21
    METAL = 22
    CAR_PAINT = 23
    CAR_SIDE = 24
    CAR_SCREEN = 25
    CAR_CABIN = 26
    CAR_LAMPS = 27
    CAR_BUMPER = 28
    COACH_SIDE = 29
    COACH_FRONT = 30
    CARGO = 31
    SIGN_DISC = 32
    SIGN_TRIANGLE = 33
    SIGN_PLATE = 34
    SIGN_DIAMOND = 35
    SIGNAL = 36
    SPOKES = 37
    TUBE = 38
    LEAVES = 39
    CLOTH = 40
    SKIN = 41
    WHEEL = 42
    SHELL = 43
    PATCH = 44
    GABLE = 45
    FACE = 46
    DIRT = 47


_T = textures
_ROWS: dict[Material, _Row] = {
    Material.ROAD: _Row(_T.ASPHALT, 0.008, 0.22, ground=True),
    Material.PAINT: _Row(_T.ASPHALT, 0.008, 0.25, ground=True, decal=True),
    Material.SIDEWALK: _Row(_T.SLABS, 0.0045, 0.22, ground=True),
    Material.PAVEMENT: _Row(_T.COBBLES, 0.006, 0.2, ground=True),
    Material.COBBLES: _Row(_T.COBBLES, 0.0045, 0.32, ground=True),
    Material.KERB: _Row(_T.CONCRETE, 0.006, 0.22),
    Material.GRASS: _Row(_T.GRASS, 0.012, 0.5, ground=True),
    Material.DIRT: _Row(_T.ASPHALT, 0.01, 0.35, ground=True),
    Material.PLASTER: _Row(_T.PLASTER, 0.02, 0.12, Pattern.FACADE),
    Material.BRICK: _Row(_T.BRICK, 0.0075, 0.3, Pattern.FACADE),
    Material.STONE: _Row(_T.STONE, 0.008, 0.2, Pattern.FACADE),
    Material.PANELS: _Row(_T.CONCRETE, 0.016, 0.16, Pattern.FACADE),
    Material.GABLE: _Row(_T.PLASTER, 0.02, 0.12, cutout=Cutout.TRIANGLE, two_sided=True),
    Material.ROOF: _Row(_T.TILES, 0.01, 0.35),
    Material.PLAIN_WALL: _Row(_T.CONCRETE, 0.01, 0.28),
    Material.BRICK_WALL: _Row(_T.BRICK, 0.0075, 0.38),
    Material.STONE_WALL: _Row(_T.STONE, 0.004, 0.4),
    Material.WOOD: _Row(_T.PLANKS, 0.005, 0.35, two_sided=True),
    Material.BARS: _Row(_T.METAL, 0.01, 0.2, cutout=Cutout.BARS, two_sided=True),
    Material.PICKETS: _Row(_T.PLANKS, 0.005, 0.3, cutout=Cutout.PICKETS, two_sided=True),
    Material.MESH: _Row(_T.METAL, 0.01, 0.2, cutout=Cutout.MESH, two_sided=True),
    Material.HEDGE: _Row(_T.LEAVES, 0.011, 0.85, cutout=Cutout.TUFTS, two_sided=True),
    Material.HEDGE_TOP: _Row(_T.LEAVES, 0.011, 0.85),
    Material.BARK: _Row(_T.METAL, 0.004, 0.5),
    Material.METAL: _Row(_T.METAL, 0.004, 0.18),
    Material.CAR_PAINT: _Row(_T.SMOOTH, 0.02, 0.05, gloss=0.25),
    Material.CAR_SIDE: _Row(_T.SMOOTH, 0.02, 0.05, Pattern.CAR_SIDE, gloss=0.2),
    Material.CAR_SCREEN: _Row(_T.SMOOTH, 0.02, 0.06, Pattern.SCREEN),
    Material.CAR_CABIN: _Row(_T.SMOOTH, 0.02, 0.06, Pattern.CABIN),
    Material.CAR_LAMPS: _Row(_T.SMOOTH, 0.02, 0.05, Pattern.LAMPS),
    Material.CAR_BUMPER: _Row(_T.SMOOTH, 0.02, 0.05, Pattern.BUMPER),
    Material.COACH_SIDE: _Row(_T.SMOOTH, 0.02, 0.08, Pattern.COACH_SIDE),
    Material.COACH_FRONT: _Row(_T.SMOOTH, 0.02, 0.08, Pattern.COACH_FRONT),
    Material.CARGO: _Row(_T.PLASTER, 0.02, 0.08, Pattern.CARGO),
    Material.SIGN_DISC: _Row(_T.SMOOTH, 0.01, 0.05, Pattern.SIGN, Cutout.DISC, two_sided=True),
    Material.SIGN_TRIANGLE: _Row(_T.SMOOTH, 0.01, 0.05, Pattern.SIGN, Cutout.TRIANGLE, two_sided=True),
    Material.SIGN_PLATE: _Row(_T.SMOOTH, 0.01, 0.05, Pattern.SIGN, two_sided=True),
    Material.SIGN_DIAMOND: _Row(_T.SMOOTH, 0.01, 0.05, Pattern.SIGN, Cutout.DIAMOND, two_sided=True),
    Material.SIGNAL: _Row(_T.SMOOTH, 0.01, 0.08, Pattern.SIGNAL),
    Material.SPOKES: _Row(_T.SMOOTH, 0.01, 0.1, cutout=Cutout.SPOKES, two_sided=True),
    Material.TUBE: _Row(_T.SMOOTH, 0.01, 0.15, two_sided=True),
    Material.LEAVES: _Row(texel_m=0.022, contrast=0.8, pattern=Pattern.FOLIAGE, cutout=Cutout.LEAVES),
    Material.CLOTH: _Row(texel_m=0.012, contrast=0.28),
    Material.SKIN: _Row(texel_m=0.015, contrast=0.12),
    Material.FACE: _Row(texel_m=0.015, contrast=0.12, pattern=Pattern.FACE),
    Material.WHEEL: _Row(texel_m=0.02, contrast=0.15, pattern=Pattern.WHEEL),
    Material.SHELL: _Row(texel_m=0.03, contrast=0.1, gloss=0.2),
    Material.PATCH: _Row(_T.ASPHALT, 0.008, 0.28, ground=True, decal=True),
}
_ORDERED = [_ROWS[material] for material in Material]

TEXTURE = np.array([row.texture for row in _ORDERED], np.int32)
TEXEL_M = np.array([row.texel_m for row in _ORDERED], np.float32)
CONTRAST = np.array([row.contrast for row in _ORDERED], np.float32)
PATTERN = np.array([row.pattern for row in _ORDERED], np.uint8)
CUTOUT = np.array([row.cutout for row in _ORDERED], np.uint8)
TWO_SIDED = np.array([row.two_sided for row in _ORDERED])
GROUND = np.array([row.ground for row in _ORDERED])
DECAL = np.array([row.decal for row in _ORDERED])
GLOSS = np.array([row.gloss for row in _ORDERED], np.float32)
