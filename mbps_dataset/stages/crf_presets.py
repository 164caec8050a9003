"""What published systems set around their DenseCRF, by name.

The kernels are arguments of `dense_crf`; working resolution and temperature are steps its caller takes before calling.
All numbers were read in the reference code of the system named, unless a comment says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


ChannelOrder = Literal["bgr", "rgb"]


@dataclass(frozen=True)
class CrfKernels:
    """The arguments of `dense_crf` that decide its result."""

    gaussian_sxy: float = 1.0  # standard deviation of the distance-only term, pixels
    gaussian_compat: float = 3.0  # its weight, nats
    bilateral_sxy: float = 67.0  # standard deviation of the distance-and-colour term, pixels
    bilateral_srgb: float = 3.0  # and in colour, 8-bit levels
    bilateral_compat: float = 4.0  # its weight, nats
    iterations: int = 10
    channel_order: ChannelOrder = "bgr"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `dense_crf`."""
        return asdict(self)


@dataclass(frozen=True)
class CrfPreset:
    """What a published system does around its CRF: kernels for `dense_crf`, and two steps that its caller takes."""

    kernels: CrfKernels
    working_hw: tuple[int, int]  # resolution at which the CRF runs (height, width), pixels
    temperature: float  # p = softmax(temperature * x)
    applied_to: str  # what x is
    labels: int  # number of classes K


PRESETS: dict[str, CrfPreset] = {
    # The reference code behind the published labels sharpens twice: its scores are log_softmax(3 cosine) already.
    "mbps": CrfPreset(CrfKernels(), (322, 644), 3.0, "log_softmax(3 cosine), averaged over windows", 27),
    # CAUSE's own test protocol: centre crop of 322, softmax of log_softmax(3 cosine) without a further factor.
    "cause": CrfPreset(CrfKernels(), (322, 322), 1.0, "log_softmax(3 cosine)", 27),
    # CUPS (Hahn et al., CVPR 2025): Cityscapes scaled by 0.625; softmax of the fused log-probabilities.
    "cups": CrfPreset(CrfKernels(), (640, 1280), 1.0, "log-probabilities fused by depth", 27),
    # MaskCut (Wang et al., CVPR 2023): each mask refined alone, its hard 0/1 values through a softmax. The channel order
    # is not part of its published description; RGB as images are loaded is assumed here.
    "maskcut": CrfPreset(
        CrfKernels(3.0, 7.0, 50.0, 5.0, 10.0, 10, "rgb"), (480, 480), 1.0, "(background, foreground) mask as 0 or 1", 2
    ),
}
