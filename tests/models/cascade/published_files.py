"""Files as CUPS and detectron2 write them, around a small network."""

from __future__ import annotations

import collections
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from tests.models.cascade.tiny_network import TINY, tiny_network


class _NodeOfSettings(dict):
    """What yacs' CfgNode is: a dictionary with attributes."""


@contextmanager
def _yacs() -> Iterator[None]:
    """The package that cups.ckpt names, while it is written."""
    package, module = types.ModuleType("yacs"), types.ModuleType("yacs.config")
    _NodeOfSettings.__module__, _NodeOfSettings.__qualname__ = "yacs.config", "CfgNode"
    module.CfgNode = _NodeOfSettings  # type: ignore[attr-defined]
    sys.modules.update({"yacs": package, "yacs.config": module})
    try:
        yield
    finally:
        del sys.modules["yacs"], sys.modules["yacs.config"]


def lightning_file(path: Path, *, teacher: bool = True) -> Path:
    """As cups.ckpt: student, teacher, an optimiser's state, and a configuration of a class that is not installed."""
    state = {f"model.{name}": one for name, one in tiny_network(seed=1).state_dict().items()}
    if teacher:
        state |= {f"teacher_model.model.{name}": one for name, one in tiny_network(seed=2).state_dict().items()}
    node = _NodeOfSettings(MODEL=_NodeOfSettings(TTA_SCALES=[0.5, 0.75, 1.0]))
    node.__dict__["_immutable"] = True
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": collections.OrderedDict(state),
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}],
        "hyper_parameters": {"config": node, "thing_pseudo_classes": (3, 5), "stuff_pseudo_classes": (0, 1)},
    }
    with _yacs():
        torch.save(content, path)
    return path


def detectron2_file(path: Path, *, things: int = 1, stuff: int = 0) -> Path:
    """As CutLER's, CuVLER's and (with stuff) U2Seg's .pth: tensors under ``model``, a trainer's state with numpy numbers."""
    from dataclasses import replace

    names = tuple(f"class {number}" for number in range(stuff + things))
    config = replace(TINY, class_names=names, thing_ids=tuple(range(stuff, stuff + things)))
    trainer = {"iteration": 9, "hooks": {"LRScheduler": {"base_lrs": [np.float64(0.01)], "last_epoch": 9}}}
    torch.save({"model": tiny_network(config, seed=4).state_dict(), "trainer": trainer, "iteration": 9}, path)
    return path
