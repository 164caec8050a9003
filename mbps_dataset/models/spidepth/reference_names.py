"""From the published SPIdepth checkpoints to this package's networks: names, shapes, loading without a second copy.

The published encoder was saved from timm; the blocks here are transformers'. The tensors are the same numbers:

* names differ (table `CONVNEXT_NAMES`);
* GRN weights are [C] there and [1, 1, 1, C] here;
* timm's small sizes (atto to nano) hold the pointwise layers as 1×1 convolutions [O, I, 1, 1], here linear [O, I].

U-Net and query decoder keep their published names. `encoder.pth` also carries the plain numbers `height`, `width` and
`use_stereo`, which are no tensors and are left out. A prefix "module." of data-parallel training is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import require_match, shapes_of, to_float32


CONVNEXT_NAMES: tuple[tuple[str, str], ...] = (  # (timm, ours), without the leading "encoder."; * stands for a number
    ("stem_0.", "embeddings.patch_embeddings."),
    ("stem_1.", "embeddings.layernorm."),
    ("stages_*.downsample.", "stages.*.downsampling_layer."),
    ("stages_*.blocks.*.conv_dw.", "stages.*.layers.*.dwconv."),
    ("stages_*.blocks.*.norm.", "stages.*.layers.*.layernorm."),
    ("stages_*.blocks.*.mlp.fc1.", "stages.*.layers.*.pwconv1."),
    ("stages_*.blocks.*.mlp.grn.", "stages.*.layers.*.grn."),
    ("stages_*.blocks.*.mlp.fc2.", "stages.*.layers.*.pwconv2."),
)


def plain_tensors(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """Only the tensors of a checkpoint, without a "module." prefix."""
    return {name.removeprefix("module."): value for name, value in state_dict.items() if isinstance(value, Tensor)}


def shape_of(found: Mapping[str, Tensor], name: str, *, rank: int, source: str) -> tuple[int, ...]:
    """Shape of one tensor of a checkpoint; `WeightsError` naming `source` if it is missing or has another rank."""
    if name not in found:
        some = ", ".join(sorted(found)[:3]) or "no tensor at all"
        raise WeightsError(f"{source} has no tensor `{name}` (it has {some} …); is it the right file?")
    shape = tuple(found[name].shape)
    if len(shape) != rank:
        raise WeightsError(f"{source}: expected `{name}` to have {rank} dimensions, but its shape is {shape}.")
    return shape


def our_name(published: str) -> str:
    """Our name for a tensor of `encoder.pth` (or of a bare timm ConvNeXtV2); other names stay as they are."""
    return _translate(published, CONVNEXT_NAMES)


def published_name(ours: str) -> str:
    """The inverse of `our_name`."""
    return _translate(ours, tuple((new, old) for old, new in CONVNEXT_NAMES))


def _translate(name: str, table: Sequence[tuple[str, str]]) -> str:
    prefix = "encoder." if name.startswith("encoder.") else ""
    rest = name[len(prefix) :]
    for old, new in table:
        match = re.match(re.escape(old).replace(r"\*", r"(\d+)"), rest)
        if match:
            return prefix + new.replace("*", "{}").format(*match.groups()) + rest[match.end() :]
    return name


def our_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors renamed and reshaped (as views) to the `wanted` shapes.

    A reshape is done only where GRN and pointwise layers are known to differ by dimensions of size one.
    """
    tensors = {}
    for published, tensor in found.items():
        name = our_name(published)
        reshapes = name in wanted and (".grn." in name or ".pwconv" in name)
        if reshapes and _without_ones(tensor.shape) == _without_ones(wanted[name]):
            tensor = tensor.reshape(wanted[name])
        tensors[name] = tensor
    return tensors


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def load_assigned(
    module: nn.Module, state_dict: Mapping[str, Tensor], *, source: str, network: str, fits: str = ""
) -> None:
    """Give `module` (built on the meta device) the tensors themselves, as float32, without copying them.

    Changing the module's weights in place therefore changes the given tensors too. Batch counters that a checkpoint
    lacks are zero. Raises `WeightsError` naming the published tensors that are missing, superfluous or of another shape.
    """
    wanted = shapes_of(module)
    tensors = our_tensors(plain_tensors(state_dict), wanted)
    for name in wanted:
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    require_match(
        {published_name(name): tensor for name, tensor in tensors.items()},
        {published_name(name): shape for name, shape in wanted.items()},
        source=source,
        network=network,
        fits=fits,
    )
    module.load_state_dict(to_float32(tensors), assign=True)
