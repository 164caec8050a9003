"""Published CAUSE files to the form in which networks are kept here, with the outcome of the label-leak check."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter, label_leak_report
from mbps_dataset.models.conversion import Conversion, PathLike, write_conversion


def convert_cause(
    *,
    backbone: PathLike,
    segment: PathLike,
    cluster: PathLike,
    codebook: PathLike,
    output: PathLike,
    config: CauseConfig | None = None,
    **settings: Any,
) -> Conversion[CauseSegmenter]:
    """Read the four published files and write a folder that `CauseSegmenter.from_pretrained` reads.

    `backbone`, `segment`, `cluster` are ``.pth`` or ``.safetensors`` files, `codebook` is an ``.npy`` file; `config`
    and `settings` are those of `CauseSegmenter.from_reference`, which also says which errors are raised.
    """
    files = {"backbone": backbone, "segment": segment, "cluster": cluster, "codebook": codebook}
    network = CauseSegmenter.from_reference(**files, config=config, **settings)
    leak = label_leak_report(network)
    notes = {"label_leak": {**asdict(leak), "ratio": _finite(leak.ratio)}, "label_leak_in_words": str(leak)}
    return write_conversion(network, output, files, notes)


def _finite(number: float) -> float | None:
    """JSON has no infinity and no nan; None stands for them."""
    return number if abs(number) < float("inf") else None
