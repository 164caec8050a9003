"""Whitened backbone tokens (`mbps_dataset.stages.token_whitening`) as the codes of a CAUSE network, in closed form (ours).

The codes come from CAUSE's own head, as one of its settings: the decoder's last norm gives 0, so that what is left of it
is the skip from the backbone; the two-layer map gives 0; and the linear map is Wᵀ x − Wᵀ μ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.cause.head import CauseHead
from mbps_dataset.settings import Settings, require_ascending, setting
from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.stages.overclustering import fit_kmeans
from mbps_dataset.stages.token_whitening import TokenWhitening, fit_token_whitening
from mbps_dataset.training.checkpointing import seeded
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.views import Pictures, draw_picture_indices, draw_windows


@dataclass(frozen=True)
class WhiteningSettings(Settings):
    """What is counted, and how much is shrunk. Raises `RecipeError` for a value out of range."""

    windows: int = setting(512, "windows whose tokens give mean and covariance", source="ours", at_least=1)
    windows_per_step: int = setting(8, "windows at once", source="ours", at_least=1)
    window_share: tuple[float, float] = setting(
        (0.7, 1.0),
        "least and largest window side over the shorter picture side",
        source="ours",
        at_least=0.01,
        at_most=1,
    )
    shrinkage: float = setting(1.0, "mean eigenvalues added to each before the root", source="ours", at_least=0)
    seed: int = setting(0, "seed of windows and of the probe's k-means", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "window_share")


@torch.no_grad()
def set_whitening(head: CauseHead, whitening: TokenWhitening) -> None:
    """Make `head` give the whitened tokens, whatever its codebook; in place."""
    layer, projection = head.tr, whitening.projection
    assert projection is not None  # a head has fewer channels than its backbone
    layer.norm3.weight.zero_()
    layer.norm3.bias.zero_()
    for tensor in layer.f2[2].parameters():
        tensor.zero_()
    layer.f1.weight.copy_(projection.T[..., None, None])
    bias = layer.f1.bias
    assert bias is not None  # convolutions of the head have one
    bias.copy_(-whitening.mean @ projection)


def whiten_cause(
    segmenter: CauseSegmenter, pictures: Pictures, settings: WhiteningSettings, *, show_progress: bool = True
) -> TokenWhitening:
    """Fit both heads of `segmenter` and its probe, in place, to `pictures` (uint8 [H, W, 3]); seconds, not epochs.

    Heads by `fit_token_whitening` over random windows, the probe by spherical k-means of codes of windows. The backbone
    stays as it is. One seed gives one result. Raises `RecipeError` if there are too few tokens.
    """
    device = next(segmenter.parameters()).device
    segmenter.eval()
    with seeded(settings.seed):
        whitening = fit_token_whitening(
            _tokens(segmenter, pictures, settings, settings.windows, show_progress),
            segmenter.config.code_dim,
            shrinkage=settings.shrinkage,
        )
        for head in (segmenter.segment.head, segmenter.segment.head_ema):
            set_whitening(head.to(device), whitening)
        few = min(settings.windows, 64)
        sample = torch.cat([whitening(each) for each in _tokens(segmenter, pictures, settings, few, False)])
    rows = sample.reshape(-1, sample.shape[-1])
    thinned = rows[:: max(1, len(rows) // 20_000)]
    centres = fit_kmeans(thinned.numpy(), segmenter.config.clusters, seed=settings.seed, restarts=1, iterations=50)
    with torch.no_grad():
        segmenter.probe.cluster_probe.copy_(torch.from_numpy(centres))
    return whitening


@torch.no_grad()
def _tokens(
    segmenter: CauseSegmenter, pictures: Pictures, settings: WhiteningSettings, windows: int, show: bool
) -> Iterable[Tensor]:
    """Tokens [B, P, D] of `windows` random windows, a batch at a time."""
    device = next(segmenter.parameters()).device
    batches = -(-windows // settings.windows_per_step)
    with TrainingProgress("whitening", start=0, stop=batches, show=show) as progress:
        for batch in progress:
            count = min(settings.windows_per_step, windows - batch * settings.windows_per_step)
            views = draw_windows(
                pictures, draw_picture_indices(count, pictures), segmenter.config.crop, share=settings.window_share
            )
            with half_precision(device):
                yield segmenter.backbone.features(imagenet_normalised(views.pixels).to(device)).float().cpu()
