"""Names and shapes of the published files, and tensors of them without values."""

from __future__ import annotations

import torch

from tests.models.published import shapes_in


def published_shapes(system: str) -> dict[str, tuple[int, ...]]:
    """Name → shape of the tensors of "cups" (stage 2), "u2seg" (800) or "cutler", as their files name them."""
    shapes = {name: tuple(shape) for name, shape in shapes_in("cascade/shapes.json", "cups_stage2").items()}
    if system == "cups":
        return shapes
    shapes = {name.removeprefix("model."): shape for name, shape in shapes.items()}
    if system == "cutler":
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith("sem_seg_head.")}
    differs = shapes_in("cascade/shapes.json", "differs")[system]
    return shapes | {name: tuple(shape) for name, shape in differs.items()}


def without_values(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors that take no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
