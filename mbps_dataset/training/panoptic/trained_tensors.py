"""Which tensors of a panoptic network train, by name.

* stage 2 (CUPS): all, and those of norms without weight decay (`decays`);
* self-training (CUPS, stage 3): the heads (`trains_in_self_training`), which are of boxes, masks and classes, and of
  proposals, too, but not their norms; backbone and neck stay;
* with few labels (CUPS, Fig. 5): everything but backbone and neck.

The rules read the published network's names, and hold for networks that are named alike: a head is called head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


_BODY, _HEAD = frozenset({"backbone", "encoder", "decoder", "pixel_level_module"}), "transformer_module"


def decays(name: str) -> bool:
    """Whether weight decay acts on a tensor in stage 2: not on weights and biases of norms."""
    return "norm" not in name


def trains_in_self_training(name: str) -> bool:
    """Whether a tensor trains in stage 3: it is a head's, and no norm's."""
    return "head" in name and "norm" not in name


def names_that_stay(names: Iterable[str], trains: Callable[[str], bool] = trains_in_self_training) -> tuple[str, ...]:
    """The names for which `trains` does not hold, ascending: what the setting `frozen` of a training takes.

    Raises `ValueError` if nothing is left to train.
    """
    every = set(names)
    kept = {name for name in every if not trains(name)}
    if kept == every:
        raise ValueError(f"No tensor would train: `trains` holds for none of {len(every)} names.")
    return tuple(sorted(kept))


def is_body(name: str) -> bool:
    """Whether a tensor is of the backbone or the neck (feature pyramid, pixel decoder), by the parts of its name.

    Known: CUPS' and detectron2's ``backbone``, the dense network's ``encoder`` and ``decoder``, Mask2Former's
    ``pixel_level_module`` (not the decoder in its ``transformer_module``, which is a head).
    """
    parts = set(name.split("."))
    return bool(parts & _BODY) and _HEAD not in parts


def body_stays(names: Iterable[str]) -> tuple[str, ...]:
    """The names of backbone and neck, ascending: `frozen` for training with few labels.

    Raises `ValueError` where no name is known to be of a body, or none of a head.
    """
    every = set(names)
    if not any(is_body(name) for name in every):
        raise ValueError(f"No backbone is known among {len(every)} names; say which tensors stay with `frozen`.")
    return names_that_stay(every, lambda name: not is_body(name))
