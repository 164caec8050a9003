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


CONVNEXT_NAMES: tuple[tuple[str, str], ...] = (  # (timm, ours), regular expressions without the leading "encoder."
    (r"stem_0\.", r"embeddings.patch_embeddings."),
    (r"stem_1\.", r"embeddings.layernorm."),
    (r"stages_(\d+)\.downsample\.", r"stages.\1.downsampling_layer."),
    (r"stages_(\d+)\.blocks\.(\d+)\.conv_dw\.", r"stages.\1.layers.\2.dwconv."),
    (r"stages_(\d+)\.blocks\.(\d+)\.norm\.", r"stages.\1.layers.\2.layernorm."),
    (r"stages_(\d+)\.blocks\.(\d+)\.mlp\.fc1\.", r"stages.\1.layers.\2.pwconv1."),
    (r"stages_(\d+)\.blocks\.(\d+)\.mlp\.grn\.", r"stages.\1.layers.\2.grn."),
    (r"stages_(\d+)\.blocks\.(\d+)\.mlp\.fc2\.", r"stages.\1.layers.\2.pwconv2."),
)


def plain_tensors(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """Only the tensors of a checkpoint, without a "module." prefix."""
    return {name.removeprefix("module."): value for name, value in state_dict.items() if isinstance(value, Tensor)}


def shape_of(found: Mapping[str, Tensor], name: str, *, rank: int) -> tuple[int, ...]:
    """Shape of one tensor of a checkpoint; `WeightsError` if it is missing or has another rank."""
    if name not in found:
        some = ", ".join(sorted(found)[:3]) or "no tensor at all"
        raise WeightsError(f"The checkpoint has no tensor `{name}` (it has {some} …); is it the right file?")
    if found[name].ndim != rank:
        raise WeightsError(
            f"Expected `{name}` to have {rank} dimensions, but its shape is {tuple(found[name].shape)}."
        )
    return tuple(found[name].shape)


def our_name(reference_name: str) -> str:
    """Our parameter name for a tensor of `encoder.pth` (or of a bare timm ConvNeXtV2); unknown names stay as they are."""
    prefix = "encoder." if reference_name.startswith("encoder.") else ""
    rest = reference_name[len(prefix) :]
    for pattern, replacement in CONVNEXT_NAMES:
        if re.match(pattern, rest):
            return prefix + re.sub("^" + pattern, replacement, rest)
    return reference_name


def our_tensors(
    found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors renamed and reshaped (as views) to the `wanted` shapes, and our name → reference name.

    A reshape is done only where GRN and pointwise layers are known to differ by dimensions of size one.
    """
    tensors, names = {}, {}
    for reference_name, tensor in found.items():
        name = our_name(reference_name)
        reshapes = name in wanted and (".grn." in name or ".pwconv" in name)
        if reshapes and _without_ones(tensor.shape) == _without_ones(wanted[name]):
            tensor = tensor.reshape(wanted[name])
        tensors[name], names[name] = tensor, reference_name
    return tensors, names


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
    tensors, reference_names = our_tensors(plain_tensors(state_dict), wanted)
    for name in wanted:
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    require_match(
        {reference_names.get(name, name): tensor for name, tensor in tensors.items()},
        {reference_names.get(name, name): shape for name, shape in wanted.items()},
        source=source,
        network=network,
        fits=fits,
    )
    module.load_state_dict(to_float32(tensors), assign=True)
