"""Published CAUSE files to the form in which networks are kept here: safetensors, ``config.json``, a card.

What is converted once is then read in seconds, without PyTorch's own file format, and says what it was made from:
``conversion.json`` lists the SHA-256 of every published file and the outcome of the label-leak check.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter, LeakReport, label_leak_report
from mbps_dataset.models.checkpoints import state_dict_digest
from mbps_dataset.store import file_digest, write_json


PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Conversion:
    """What `convert_cause` wrote: `folder`, the network's `config`, its digest, its sources and the leak check."""

    folder: Path
    config: CauseConfig
    digest: str
    made_from: dict[str, dict[str, str]]
    leak: LeakReport


def convert_cause(
    *,
    backbone: PathLike,
    segment: PathLike,
    cluster: PathLike,
    codebook: PathLike,
    output: PathLike,
    config: CauseConfig | None = None,
    **settings: Any,
) -> Conversion:
    """Read the four published files and write a folder that `CauseSegmenter.from_pretrained` reads.

    `backbone`, `segment`, `cluster` are ``.pth`` or ``.safetensors`` files, `codebook` is an ``.npy`` file; `config`
    and `settings` are those of `CauseSegmenter.from_reference`, which also says which errors are raised.
    """
    files = {"backbone": backbone, "segment": segment, "cluster": cluster, "codebook": codebook}
    network = CauseSegmenter.from_reference(**files, config=config, **settings)
    folder = Path(output)
    network.save_pretrained(folder)
    conversion = Conversion(
        folder=folder,
        config=network.config,
        digest=state_dict_digest(network.checkpoint_state()),
        made_from={part: {"file": Path(path).name, "sha256": file_digest(path)} for part, path in files.items()},
        leak=label_leak_report(network),
    )
    _write_record(conversion)
    return conversion


def _write_record(conversion: Conversion) -> None:
    record = {
        "made_from": conversion.made_from,
        "tensors_sha256": conversion.digest,
        "label_leak": {**asdict(conversion.leak), "ratio": _finite(conversion.leak.ratio)},
        "label_leak_in_words": str(conversion.leak),
    }
    write_json(conversion.folder / "conversion.json", record)


def _finite(number: float) -> float | None:
    """JSON has no infinity and no nan; None stands for them."""
    return number if abs(number) < float("inf") else None
