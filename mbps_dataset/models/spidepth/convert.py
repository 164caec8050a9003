"""Published SPIdepth files to the form in which networks are kept here: safetensors, ``config.json``, a card.

What is converted once is then mapped into memory in no time, without PyTorch's own file format, and says what it was
made from: ``conversion.json`` lists the SHA-256 of both published files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.models.checkpoints import state_dict_digest
from mbps_dataset.models.spidepth import SPIdepth, SPIdepthConfig
from mbps_dataset.store import file_digest, write_json


PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class DepthConversion:
    """What `convert_spidepth` wrote: `folder`, the network's `config`, its digest and its sources."""

    folder: Path
    config: SPIdepthConfig
    digest: str
    made_from: dict[str, dict[str, str]]


def convert_spidepth(*, encoder: PathLike, decoder: PathLike, output: PathLike, **settings: Any) -> DepthConversion:
    """Read a published pair of files and write a folder that `SPIdepth.from_pretrained` reads.

    `encoder` is the file with ConvNeXtV2 and U-Net (``encoder.pth``), `decoder` the one with the query decoder
    (``depth.pth``), each ``.pth`` or ``.safetensors``; `settings` (`size`, `heads`, `min_depth`, `max_depth`,
    `supervision`) are those of `SPIdepth.from_reference`, which also says which errors are raised.
    """
    network = SPIdepth.from_reference(encoder=encoder, decoder=decoder, **settings)
    folder = Path(output)
    network.save_pretrained(folder)
    files = {"encoder": encoder, "decoder": decoder}
    conversion = DepthConversion(
        folder=folder,
        config=network.config,
        digest=state_dict_digest(network.state_dict()),
        made_from={part: {"file": Path(path).name, "sha256": file_digest(path)} for part, path in files.items()},
    )
    record = {
        "made_from": conversion.made_from,
        "tensors_sha256": conversion.digest,
        "supervision": network.supervision,
    }
    write_json(folder / "conversion.json", record)
    return conversion
