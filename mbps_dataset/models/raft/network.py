"""The whole flow network: RAFT (Teed & Deng, ECCV 2020), its loading and saving.

Two published sets of weights are read (`from_reference`), told apart by their tensors:

* **SMURF** (names begin with ``raft.``, no norm has weights): instance norm in both encoders, look-up row by row;
  self-supervised;
* **torchvision's RAFT-large** (no prefix, batch-norm statistics in the context encoder): look-up column by column; supervised.

The order of the look-up leaves no trace in the tensors and wrong flow is not seen, so a file that is neither is refused
unless `layout` is stated. Images of any size are padded by repeating their border, to multiples of 8 and to at least 128
pixels (ours: published code asks for such sizes), and the flow is cropped again. Input to the encoders is 2 x − 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.checkpoints import require_match, shapes_of, to_float32
from mbps_dataset.models.flow import Eye, Padding, cropped, disparity_of_flow, padded, padding_to, require_pair
from mbps_dataset.models.raft.config import STRIDE, RaftConfig
from mbps_dataset.models.raft.correlation import CorrelationPyramid
from mbps_dataset.models.raft.encoder import Encoder
from mbps_dataset.models.raft.update import UpdateBlock
from mbps_dataset.models.raft.upsampling import MaskPredictor, convex_upsampling
from mbps_dataset.models.saved_network import HubNetwork


Layout = Literal["smurf", "torchvision"]

SUPERVISION: dict[str, str] = {
    "smurf": "self-supervised optical flow on unlabelled video (SMURF); no labels; licence of the weights: none stated for SMURF's "
    "checkpoints, CC BY 4.0 for the port that made raft_smurf.pt of them",
    "torchvision": "supervised: optical flow ground truth of synthetic scenes, for some of its weights also of real ones; licence of "
    "the weights: none stated beside torchvision's own BSD-3-Clause",
}
"""What the published weights of each layout saw, and their licence, which so travels into label sets and cards."""

_LAYOUTS: dict[str, dict[str, Any]] = {
    "smurf": {"context_norm": "instance", "lookup_order": "row-major"},
    "torchvision": {"context_norm": "batch", "lookup_order": "column-major"},
}
_PREFIX = "raft."


class RaftFlow(HubNetwork, library_name="mbps-dataset", tags=["optical-flow"]):
    """Flow between two images, and disparity between two eyes; see `mbps_dataset.models.flow` for conventions."""

    config_class = RaftConfig

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        self.config = config
        context_outputs = config.hidden_dim + config.context_dim
        self.feature_encoder = Encoder(config.encoder_widths, config.feature_dim, norm="instance")
        self.context_encoder = Encoder(config.encoder_widths, context_outputs, norm=config.context_norm)
        self.update_block = UpdateBlock(config)
        self.mask_predictor = MaskPredictor(config.hidden_dim, config.mask_width)

    @property
    def supervision(self) -> str:
        """What the weights saw, for the label set's record."""
        return self.config.supervision

    @torch.no_grad()
    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], twice → flow [B, 2, H, W] in pixels after `config.updates` updates."""
        *_, last = self.iterates(first, second)
        return last

    def disparity(self, first: Tensor, second: Tensor, *, first_eye: Eye = "left") -> Tensor:
        """Disparity of the first image [B, H, W] ≥ 0 in pixels, of images of the two eyes; 0 where the sign is impossible."""
        return disparity_of_flow(self.flow(first, second), first_eye)

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Flow after each update, for training: one [B, 2, H, W] per update, with gradients."""
        return list(self.iterates(first, second, every=True))

    def iterates(
        self, first: Tensor, second: Tensor, *, updates: int | None = None, every: bool = False
    ) -> Iterator[Tensor]:
        """Flow [B, 2, H, W] after the last of `updates` updates (default: `config.updates`), or after `every` one.

        Raises `ValueError` for anything but two image batches in [0, 1] of one shape.
        """
        require_pair(first, second)
        images, padding = self._prepared(torch.cat([first, second]))
        features, others = self.feature_encoder(images).chunk(2)
        context = self.context_encoder(images[: len(first)])
        for flow in self._updates(features, others, context, updates or self.config.updates, every=every):
            yield cropped(flow, padding)

    def _prepared(self, images: Tensor) -> tuple[Tensor, Padding]:
        """Images as the encoders take them, and the padding around them."""
        padding = padding_to(*images.shape[-2:], multiple_of=STRIDE, at_least=self.config.smallest_side)
        return 2 * padded(images, padding) - 1, padding

    def _updates(
        self, features: Tensor, others: Tensor, encoded: Tensor, updates: int, *, every: bool
    ) -> Iterator[Tensor]:
        """Flow of the padded images after `every` update, or after the last, from what the encoders give."""
        pyramid = CorrelationPyramid(features, others, levels=self.config.levels)
        state, context = encoded.split([self.config.hidden_dim, self.config.context_dim], dim=1)
        state, of_context = torch.tanh(state), self.update_block.recurrent_block.of_context(torch.relu(context))
        start = cell_positions(*state.shape[-2:]).to(state).expand(len(state), -1, -1, -1)
        positions = start
        for number in range(1, updates + 1):
            positions = positions.detach()  # published: gradients do not run through the positions of a look-up
            found = pyramid.look_up(positions, radius=self.config.radius, order=self.config.lookup_order)
            state, change = self.update_block(state, of_context, found, positions - start)
            positions = positions + change
            if every or number == updates:
                yield convex_upsampling(positions - start, self.mask_predictor(state))

    @classmethod
    def from_reference(
        cls,
        state_dict: Mapping[str, Tensor],
        *,
        layout: Layout | None = None,
        levels: int = 4,
        updates: int = 16,
        supervision: str | None = None,
        source: str = "The flow network's state dict",
    ) -> RaftFlow:
        """A network holding published tensors; every size but `levels` is read from them, in eval mode.

        `layout` is told by the tensors where they are as published; `supervision` defaults to that of the layout's
        published weights (`SUPERVISION`). Raises `WeightsError` naming `source` and everything that does not fit.
        """
        tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in state_dict.items()}
        layout = layout or _layout_of(state_dict, source)
        sizes = _sizes_of(tensors, levels=levels, source=source)
        settings = {"updates": updates, "supervision": supervision or SUPERVISION[layout], **_LAYOUTS[layout]}
        try:
            config = RaftConfig(**sizes, **settings)
        except RecipeError as error:
            raise WeightsError(f"{source} is no RAFT that can be built: {error}") from error
        with torch.device("meta"):
            network = cls(config)
        expected = shapes_of(network)
        for name in expected:
            if name.endswith("num_batches_tracked"):  # a counter of training that plays no part afterwards
                tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
        require_match(tensors, expected, source=source, network=f"RaftFlow of the {layout} layout")
        network.load_state_dict(to_float32(tensors), assign=True)
        return network.eval()


def cell_positions(height: int, width: int) -> Tensor:
    """(x, y) of every cell: float32 [2, h, w]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows]).float()


def _layout_of(state_dict: Mapping[str, Tensor], source: str) -> Layout:
    prefixed = {name.startswith(_PREFIX) for name in state_dict}
    batch_norm = any(name.endswith("context_encoder.convnormrelu.1.running_mean") for name in state_dict)
    if prefixed == {True} and not batch_norm:
        return "smurf"
    if prefixed == {False} and batch_norm:
        return "torchvision"
    some = ", ".join(sorted(state_dict)[:3]) or "none"
    raise WeightsError(
        f"{source} is neither as SMURF publishes its weights (names begin with `{_PREFIX}`, no batch norm) nor as torchvision "
        f"does (no prefix, batch norm in the context encoder); it has {some}, …. The order of its look-up leaves no trace in "
        "the tensors: if it is a RAFT of these names, state layout='smurf' or 'torchvision'."
    )


def _sizes_of(tensors: Mapping[str, Tensor], *, levels: int, source: str) -> dict[str, Any]:
    """Sizes for `RaftConfig` that the shapes tell; published ones for tensors that are missing, which are told of later."""
    with torch.device("meta"):
        published = shapes_of(RaftFlow(RaftConfig()))

    def shape(name: str) -> tuple[int, ...]:
        found = tuple(tensors[f"{name}.weight"].shape) if f"{name}.weight" in tensors else ()
        return found if len(found) == 4 else published[f"{name}.weight"]

    motion, hidden = "update_block.motion_encoder", shape("update_block.recurrent_block.convgru1.convz")[0]
    looked_up = shape(f"{motion}.convcorr1.0")[1]
    radius = round(((looked_up / max(levels, 1)) ** 0.5 - 1) / 2)
    if levels * (2 * radius + 1) ** 2 != looked_up:
        raise WeightsError(
            f"{source} looks {looked_up} correlations up, which is no square window at {levels} levels; state the right `levels`."
        )
    encoder = ["convnormrelu.0", *(f"layer{stage}.0.convnormrelu1.0" for stage in (1, 2, 3))]
    return {
        "encoder_widths": tuple(shape(f"feature_encoder.{part}")[0] for part in encoder),
        "feature_dim": shape("feature_encoder.conv")[0],
        "levels": levels,
        "radius": radius,
        "hidden_dim": hidden,
        "context_dim": shape("context_encoder.conv")[0] - hidden,
        "correlation_widths": (shape(f"{motion}.convcorr1.0")[0], shape(f"{motion}.convcorr2.0")[0]),
        "flow_widths": (shape(f"{motion}.convflow1.0")[0], shape(f"{motion}.convflow2.0")[0]),
        "motion_dim": shape(f"{motion}.conv.0")[0] + 2,
        "flow_head_width": shape("update_block.flow_head.conv1")[0],
        "mask_width": shape("mask_predictor.convrelu.0")[0],
    }
