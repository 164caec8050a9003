"""The whole depth network, and its loading and saving.

Decisions made here:

* weights live as `config.json` + `model.safetensors`, on disk or on the Hub, as every network here (`models.hub`);
* loading builds the network on the meta device and hands it the memory-mapped tensors, so that 723 million parameters
  are never in memory twice; writing goes to a new file that then takes the old one's place, so that a network may be
  saved over the files it was read from;
* what the output is: depth, not disparity (the reference calls it "disp"), at half the input's resolution.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import read_state_dict
from mbps_dataset.models.saved_network import WEIGHTS_FILE, HubNetwork, config_from_dict, weights_path, write_tensors
from mbps_dataset.models.spidepth.config import ENCODER_SIZES, SPIdepthConfig
from mbps_dataset.models.spidepth.encoder import DepthEncoder
from mbps_dataset.models.spidepth.query_decoder import QueryDecoder
from mbps_dataset.models.spidepth.reference_names import load_assigned


PUBLISHED_SUPERVISION = (
    "self-supervised (photometric consistency of video), encoder initialised from ImageNet labels; "
    "whether the published weights also saw stereo pairs or depth labels is not documented"
)


class SPIdepth(HubNetwork, library_name="mbps-dataset", tags=["depth-estimation"]):
    """Image [B, 3, H, W] in [0, 1] → depth [B, 1, H/2, W/2] in [`min_depth`, `max_depth`], larger is farther."""

    config_class = SPIdepthConfig

    def __init__(self, config: SPIdepthConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = DepthEncoder(
            channels=config.encoder_channels,
            depths=config.encoder_depths,
            decoder_channels=config.decoder_channels,
            model_dim=config.model_dim,
        )
        self.decoder = QueryDecoder(
            in_channels=config.model_dim,
            embedding_dim=config.embedding_dim,
            patch_size=config.patch_size,
            queries=config.queries,
            bins=config.bins,
            heads=config.heads,
            layers=config.layers,
            feedforward=config.feedforward,
            positions=config.positions,
            min_depth=config.min_depth,
            max_depth=config.max_depth,
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.encoder(image))

    @property
    def supervision(self) -> str:
        """What the weights saw, for the label set's record."""
        return self.config.supervision

    @classmethod
    def from_reference(
        cls,
        *,
        encoder: str | os.PathLike[str],
        decoder: str | os.PathLike[str],
        size: str = "huge",
        heads: int = 4,
        min_depth: float = 0.01,
        max_depth: float = 80.0,
        supervision: str = PUBLISHED_SUPERVISION,
    ) -> SPIdepth:
        """Read a published pair of checkpoints (`encoder.pth`, `depth.pth`) without a second copy in memory.

        `size` names the ConvNeXtV2; all else is read from the tensors but `heads` and the depth range, which leave no
        trace in them. Files are read as tensors only, never executed. Raises `WeightsError`.
        """
        features = DepthEncoder.from_reference(read_state_dict(encoder), size, source=str(encoder))
        depth = QueryDecoder.from_reference(
            read_state_dict(decoder), num_heads=heads, min_val=min_depth, max_val=max_depth, source=str(decoder)
        )
        given = features.decoder.final_conv.out_channels
        taken = depth.embedding_convPxP.in_channels
        if given != taken:
            raise WeightsError(
                f"{encoder} gives {given} feature channels, but {decoder} takes {taken}; they are not of one network."
            )
        config = _config_of(features, depth, size=size, heads=heads, supervision=supervision)
        with torch.device("meta"):
            network = cls(config)
        network.encoder, network.decoder = features, depth
        return network.eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        write_tensors(save_directory / WEIGHTS_FILE, tensors)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        config: SPIdepthConfig | dict[str, Any] | None = None,
        map_location: str | torch.device = "cpu",
        **download: Any,
    ) -> SPIdepth:
        if config is None:
            raise WeightsError(f"{model_id} has no config.json; give a folder or Hub id written by save_pretrained.")
        if isinstance(config, dict):
            config = config_from_dict(SPIdepthConfig, config, source=model_id)
        path = weights_path(model_id, **download)
        with torch.device("meta"):
            network = cls(config)
        state = read_state_dict(path)
        load_assigned(network, state, source=str(path), network="SPIdepth as its config.json describes it")
        return network.to(map_location).eval()


def _config_of(
    encoder: DepthEncoder, decoder: QueryDecoder, *, size: str, heads: int, supervision: str
) -> SPIdepthConfig:
    """The sizes of two loaded halves."""
    channels, depths = ENCODER_SIZES[size]
    embedding = decoder.embedding_convPxP
    return SPIdepthConfig(
        encoder_channels=channels,
        encoder_depths=depths,
        decoder_channels=encoder.decoder.channels,
        model_dim=embedding.in_channels,
        embedding_dim=embedding.out_channels,
        patch_size=decoder.patch_size,
        queries=decoder.queries,
        bins=decoder.bins,
        heads=heads,
        layers=len(decoder.transformer_encoder.layers),
        feedforward=decoder.transformer_encoder.layers[0].linear1.out_features,
        positions=len(decoder.positional_encodings),
        min_depth=decoder.min_depth,
        max_depth=decoder.max_depth,
        supervision=supervision,
    )
