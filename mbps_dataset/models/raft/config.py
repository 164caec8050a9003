"""Every size of a RAFT network, and the two published layouts.

The defaults are RAFT-large (Teed & Deng, ECCV 2020) as SMURF publishes it (Stone et al., CVPR 2021, in its PyTorch port).
"""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import validate


CONTEXT_NORMS = ("instance", "batch")
LOOKUP_ORDERS = ("row-major", "column-major")

STRIDE = 8
"""Pixels of the image per cell of the encoders' maps: three halvings."""

_LARGEST = 65_536  # far beyond any published network; more only takes memory and time


@dataclass(frozen=True)
class RaftConfig:
    """Sizes of one network; raises `RecipeError` when they cannot be built."""

    encoder_widths: tuple[int, ...] = (64, 64, 96, 128)  # stem and three stages of both encoders, channels
    feature_dim: int = 256  # channels of the maps that are correlated
    context_norm: str = "instance"  # norm of the context encoder; features always have instance norm
    lookup_order: str = "row-major"  # channels of a look-up window: row by row, or column by column
    levels: int = 4  # levels of the correlation pyramid
    radius: int = 4  # cells around a position that are looked up at each level
    hidden_dim: int = 128  # channels of the recurrent state
    context_dim: int = 128  # channels of the context beside it
    correlation_widths: tuple[int, ...] = (256, 192)  # motion encoder, branch of the correlations
    flow_widths: tuple[int, ...] = (128, 64)  # motion encoder, branch of the flow
    motion_dim: int = 128  # channels that the motion encoder gives, the flow itself included
    flow_head_width: int = 256  # hidden channels of the flow head
    mask_width: int = 256  # hidden channels of the upsampling mask
    updates: int = 16  # recurrent updates per pair of images
    supervision: str = "unknown"  # what the weights saw; travels into the label set

    def __post_init__(self) -> None:
        for name in ("encoder_widths", "correlation_widths", "flow_widths"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))
        validate(self)
        for name, length in (("encoder_widths", 4), ("correlation_widths", 2), ("flow_widths", 2)):
            if len(getattr(self, name)) != length:
                raise RecipeError(f"{name} must be {length} numbers, but is {getattr(self, name)}.")
        for name in ("encoder_widths", "correlation_widths", "flow_widths"):
            _require_between(name, 1, _LARGEST, *getattr(self, name))
        for name in ("feature_dim", "hidden_dim", "context_dim", "flow_head_width", "mask_width"):
            _require_between(name, 1, _LARGEST, getattr(self, name))
        _require_between("motion_dim", 3, _LARGEST, self.motion_dim)  # two of them are the flow itself
        _require_between("levels", 1, 8, self.levels)
        _require_between("radius", 1, 32, self.radius)
        _require_between("updates", 1, 1000, self.updates)
        for name, allowed in (("context_norm", CONTEXT_NORMS), ("lookup_order", LOOKUP_ORDERS)):
            if getattr(self, name) not in allowed:
                raise RecipeError(f"{name} must be {' or '.join(allowed)}, but is {getattr(self, name)!r}.")

    @property
    def smallest_side(self) -> int:
        """Pixels an image must have on each side for the coarsest level to hold two values: 128 with four levels."""
        return STRIDE * 2**self.levels


def _require_between(name: str, low: int, high: int, *values: int) -> None:
    for value in values:
        if not low <= value <= high:
            raise RecipeError(f"{name} must be between {low} and {high}, but is {value}.")
