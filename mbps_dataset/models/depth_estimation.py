"""Any depth-estimation network of transformers behind the small interface of SPIdepth: image in [0, 1] in, depth out.

Decisions, ours unless said otherwise:

* mean and standard deviation come from the network's own ``preprocessor_config.json``; its resizing does not, since
  transformers' processors need torchvision for some networks. The recipe states the input size instead; `input_hw` is
  what the network's authors use;
* what a network answers differs, and is turned into depth (larger is farther) here: DepthPro's inverse depth is scaled
  by its field of view and inverted as its authors do; relative inverse depth (Depth Anything, MiDaS/DPT) has no scale
  and no zero, so it is divided by its largest value and inverted, the last `FAR` of the range counting as farthest;
* almost all of these networks were trained on measured or labelled depth. A label set made with one is not free of
  supervision, so `supervision` says what they saw and travels into its record.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForDepthEstimation, PreTrainedModel
from transformers.image_processing_utils import ImageProcessingMixin

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.saved_network import read_config
from mbps_dataset.models.transformers_loading import load_complete


ANSWERS = ("depth", "relative inverse depth", "inverse depth with field of view")
"""What a network may answer."""

FAR = 0.01
"""Share of the largest relative inverse depth below which a pixel counts as farthest; depth is then in [1, 1 / FAR]."""

KNOWN: dict[str, tuple[str, str]] = {  # model_type → (answer, supervision)
    "depth_anything": (
        "relative inverse depth",
        "supervised: depth labels of several data sets, then a supervised teacher's labels for more images",
    ),
    "depth_pro": ("inverse depth with field of view", "supervised: real and synthetic depth maps of many data sets"),
    "dpt": ("relative inverse depth", "supervised: depth labels of several data sets"),
    "glpn": ("depth", "supervised: metric depth of NYU Depth v2 or KITTI"),
    "prompt_depth_anything": ("depth", "supervised: synthetic and LiDAR depth"),
    "zoedepth": ("depth", "supervised: relative depth of several data sets, metric depth of NYU Depth v2 and KITTI"),
}


_PREPROCESSOR_FILE = "preprocessor_config.json"


class DepthEstimator(nn.Module):
    """Image [B, 3, H, W] in [0, 1] → depth [B, 1, h, w], larger is farther; the size of the answer is the network's.

    `mean`, `std` [3] standardise the image; `answers` one of `ANSWERS`; sides must be multiples of `multiple_of`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: PreTrainedModel,
        *,
        answers: str,
        supervision: str,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        multiple_of: int = 1,
        input_hw: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if answers not in ANSWERS:
            raise ValueError(f"answers must be one of {', '.join(ANSWERS)}, but is {answers!r}.")
        self.network = network
        self.answers, self.supervision = answers, supervision
        self.multiple_of, self.input_hw = multiple_of, input_hw
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Raises `ValueError` for a side that is no multiple of `multiple_of`."""
        if image.ndim != 4 or any(side % self.multiple_of for side in image.shape[-2:]):
            raise ValueError(
                f"Expected an image batch [B, 3, H, W] with sides a multiple of {self.multiple_of}, "
                f"but got {tuple(image.shape)}."
            )
        output = self.network(pixel_values=(image - self.mean) / self.std)
        answer = output.predicted_depth
        if self.answers == "inverse depth with field of view":
            answer = depth_of_field_of_view(answer, getattr(output, "field_of_view", None))
        elif self.answers == "relative inverse depth":
            answer = depth_of_relative_inverse(answer)
        return answer[:, None] if answer.ndim == 3 else answer

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | os.PathLike[str],
        *,
        answers: str | None = None,
        supervision: str | None = None,
        **hub_arguments: Any,
    ) -> DepthEstimator:
        """Load a network of transformers' depth-estimation classes from a folder or the Hub.

        `answers` and `supervision` are known for the kinds in `KNOWN`; for another kind `answers` must be given, and
        unstated supervision is recorded as unknown. Raises `WeightsError`.
        """
        network = load_complete(
            AutoModelForDepthEstimation, folder_or_hub_id, expected="a depth-estimation network", **hub_arguments
        )
        kind = network.config.model_type
        known_answer, known_supervision = KNOWN.get(kind, (None, f"unknown: {kind} network {folder_or_hub_id}"))
        if kind == "depth_anything" and network.config.depth_estimation_type == "metric":
            known_answer = "depth"
        answers = answers or known_answer
        if answers is None:
            raise WeightsError(
                f"{folder_or_hub_id} is a {kind} network, and what it answers is not known here; "
                f"say answers='…', one of {', '.join(ANSWERS)}."
            )
        return cls(
            network,
            answers=answers,
            supervision=supervision or known_supervision,
            **_preprocessing(folder_or_hub_id, hub_arguments),
        ).eval()


def depth_of_relative_inverse(answer: Tensor) -> Tensor:
    """Relative inverse depth [B, h, w] ≥ 0, larger is nearer → depth in [1, 1 / FAR] up to an unknown scale."""
    largest = answer.flatten(1).amax(dim=1).clamp(min=torch.finfo(answer.dtype).tiny)
    return 1 / (answer / largest[:, None, None]).clamp(min=FAR)


def depth_of_field_of_view(answer: Tensor, field_of_view: Tensor | None) -> Tensor:
    """DepthPro's inverse depth [B, h, w] of a unit focal length → metres, given the field of view [B] in degrees.

    inverse depth · width / focal length, where width / focal length = 2 tan(field of view / 2); then clamped to
    [1e-4, 1e4] and inverted (Bochkovskii et al., ICLR 2025). Without a field of view the scale is unknown.
    """
    if field_of_view is not None:
        answer = answer * (2 * torch.tan(torch.deg2rad(field_of_view.flatten()) / 2))[:, None, None]
    return 1 / answer.clamp(min=1e-4, max=1e4)


def _preprocessing(folder_or_hub_id: str | os.PathLike[str], hub_arguments: dict[str, Any]) -> dict[str, Any]:
    """What the network's own processor does to an image, as arguments of `DepthEstimator`."""
    if (Path(folder_or_hub_id) / _PREPROCESSOR_FILE).is_file():
        read_config(folder_or_hub_id, _PREPROCESSOR_FILE)  # transformers assumes that it is an object
    try:
        values, _ = ImageProcessingMixin.get_image_processor_dict(os.fspath(folder_or_hub_id), **hub_arguments)
    except OSError as error:
        raise WeightsError(
            f"{folder_or_hub_id} holds no preprocessor_config.json, which says how its images are standardised."
        ) from error
    standardises = values.get("do_normalize", "image_mean" in values) and "image_mean" in values
    size = values.get("size")
    found: dict[str, Any] = {"multiple_of": values.get("ensure_multiple_of") or values.get("size_divisor") or 1}
    if standardises:
        found |= {"mean": values["image_mean"], "std": values["image_std"]}
    if isinstance(size, dict) and "height" in size and "width" in size:
        found["input_hw"] = (int(size["height"]), int(size["width"]))
    return found
