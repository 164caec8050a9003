"""Published flow weights to the form in which networks are kept here: safetensors, ``config.json``, a card.

``conversion.json`` lists the SHA-256 of the published file and what its weights saw.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset.models.checkpoints import read_state_dict, state_dict_digest
from mbps_dataset.models.raft.config import RaftConfig
from mbps_dataset.models.raft.network import RaftFlow
from mbps_dataset.store import file_digest, write_json


PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class FlowConversion:
    """What `convert_raft` wrote: `folder`, the network's `config`, its digest and its source."""

    folder: Path
    config: RaftConfig
    digest: str
    made_from: dict[str, dict[str, str]]


def convert_raft(*, checkpoint: PathLike, output: PathLike, **settings: Any) -> FlowConversion:
    """Read a published file (SMURF's ``raft_smurf.pt`` or torchvision's) and write what `RaftFlow.from_pretrained` reads.

    `settings` (`layout`, `levels`, `updates`, `supervision`) are those of `RaftFlow.from_reference`, which also says which
    errors are raised; only tensors are ever read.
    """
    network = RaftFlow.from_reference(read_state_dict(checkpoint), source=str(checkpoint), **settings)
    folder = Path(output)
    network.save_pretrained(folder)
    conversion = FlowConversion(
        folder=folder,
        config=network.config,
        digest=state_dict_digest(network.state_dict()),
        made_from={"checkpoint": {"file": Path(checkpoint).name, "sha256": file_digest(checkpoint)}},
    )
    record = {
        "made_from": conversion.made_from,
        "tensors_sha256": conversion.digest,
        "supervision": network.supervision,
    }
    write_json(folder / "conversion.json", record)
    return conversion
