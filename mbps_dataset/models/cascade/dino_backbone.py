"""A DINO ResNet-50 (Caron et al., ICCV 2021) as the start of training: its file into the backbone of a network.

Two forms are read: detectron2's (``dino_RN50_pretrain_d2_format.pkl`` of CutLER, names ``stem.conv1.norm.weight``) and DINO's own
(``dino_resnet50_pretrain.pth``, torchvision's names ``bn1.weight``, ``layer1.0.downsample.0.weight``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mbps_dataset.models.cascade.network import CascadeMaskRCNN
from mbps_dataset.models.cascade.pickled_arrays import read_pickled_arrays
from mbps_dataset.models.checkpoints import PathLike, StateDict, read_state_dict, require_match, shapes_of, to_float32


_PREFIX = "backbone.bottom_up."
_CLASSIFIER = re.compile(r"^(fc|head|stem\.fc)\.")
_TORCHVISION = (
    (re.compile(r"^bn1\."), "stem.conv1.norm."),
    (re.compile(r"^conv1\."), "stem.conv1."),
    (re.compile(r"\.bn(\d)\."), r".conv\1.norm."),
    (re.compile(r"\.downsample\.0\."), ".shortcut."),
    (re.compile(r"\.downsample\.1\."), ".shortcut.norm."),
)


def load_dino_backbone(network: CascadeMaskRCNN, path: PathLike) -> None:
    """Take the ResNet of a ``.pkl``, ``.pth`` or ``.safetensors`` file into `network`; its pyramid and heads stay as they are.

    What the network records it saw is then the caller's to state (`network.configure`). Raises `WeightsError`.
    """
    read = read_pickled_arrays if str(path).endswith(".pkl") else read_state_dict
    take_backbone(network, read(path), source=str(path))


def take_backbone(network: CascadeMaskRCNN, state_dict: Mapping[str, Tensor], *, source: str) -> None:
    """As `load_dino_backbone`, from tensors by name. Raises `WeightsError` naming `source` and what does not fit."""
    tensors = {published_name(name): values for name, values in state_dict.items()}
    tensors = {name: values for name, values in tensors.items() if not _CLASSIFIER.match(name)}
    resnet = network.backbone.bottom_up
    expected = shapes_of(resnet)
    for name in expected:
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    require_match(tensors, expected, source=source, network="the ResNet of CascadeMaskRCNN")
    state: StateDict = to_float32(tensors)
    resnet.load_state_dict(state)


def published_name(name: str) -> str:
    """The name here of a tensor of either form.

    >>> published_name("layer2.0.downsample.1.running_var"), published_name("bn1.bias")
    ('res3.0.shortcut.norm.running_var', 'stem.conv1.norm.bias')
    """
    name = name.removeprefix(_PREFIX)
    stage = re.match(r"^layer(\d)\.", name)
    if stage:
        name = f"res{int(stage[1]) + 1}.{name[stage.end() :]}"
    for pattern, meaning in _TORCHVISION:
        name = pattern.sub(meaning, name, count=1)
    return name
