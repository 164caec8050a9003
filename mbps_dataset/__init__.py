"""Panoptic pseudo-labels from street images without human labels, as a Hugging Face dataset.

Importing this package makes ``datasets.load_dataset("mbps-pseudo", RECIPE, …)`` work, whether `datasets` is imported
before it or after. The names below load on first use: importing the package loads neither `datasets` nor torch, and the
stages and the metric also work where `datasets` is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mbps_dataset._version import __version__
from mbps_dataset.forked import compute_in_forked_children
from mbps_dataset.hub.registration import register


if TYPE_CHECKING:
    from mbps_dataset.hub.attach import attach_images
    from mbps_dataset.hub.builder import MBPSConfig, MBPSPseudo
    from mbps_dataset.named_recipes import get_recipe
    from mbps_dataset.reading.image_files import to_rgb
    from mbps_dataset.recipe import Recipe
    from mbps_dataset.records import decode, renumber_segments

__all__ = [
    "MBPSConfig",
    "MBPSPseudo",
    "Recipe",
    "__version__",
    "attach_images",
    "decode",
    "get_recipe",
    "renumber_segments",
    "to_rgb",
]

_HOMES = {
    "attach_images": "mbps_dataset.hub.attach",
    "MBPSConfig": "mbps_dataset.hub.builder",
    "MBPSPseudo": "mbps_dataset.hub.builder",
    "Recipe": "mbps_dataset.recipe",
    "get_recipe": "mbps_dataset.named_recipes",
    "decode": "mbps_dataset.records",
    "renumber_segments": "mbps_dataset.records",
    "to_rgb": "mbps_dataset.reading.image_files",
}

register()
compute_in_forked_children()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
