"""The classes of a panoptic network, as every configuration holds them."""

from __future__ import annotations

from mbps_dataset.errors import RecipeError


MOST_CLASSES = 255
"""Class ids are 0 … 254; 255 is void, and the two share 8 bits in what a network learns from."""


def require_classes(class_names: tuple[str, ...], thing_ids: tuple[int, ...]) -> None:
    """Raises `RecipeError` unless there are 1 to 255 names, all different, and `thing_ids` are places among them."""
    if not 1 <= len(class_names) <= MOST_CLASSES:
        raise RecipeError(f"class_names must be 1 to {MOST_CLASSES} names, but are {len(class_names)}.")
    if len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if class_names.count(name) > 1)
        raise RecipeError(f"class_names must be all different, but {twice!r} stands there twice.")
    wrong = sorted(number for number in thing_ids if not 0 <= number < len(class_names))
    if wrong or len(set(thing_ids)) < len(thing_ids):
        fault = f"{wrong[0]} is none" if wrong else f"{sorted(thing_ids)} holds one twice"
        raise RecipeError(f"thing_ids must be different class ids from 0 to {len(class_names) - 1}, but {fault}.")
