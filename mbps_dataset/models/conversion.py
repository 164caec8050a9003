"""What a conversion of published files leaves: the network as it is kept here, and a record of what it was made from.

``conversion.json`` beside the weights lists the SHA-256 of every published file and of the tensors, and what else is worth
knowing of them. What is converted once is then read without PyTorch's own file format.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mbps_dataset.models.checkpoints import state_dict_digest
from mbps_dataset.models.saved_network import HubNetwork
from mbps_dataset.store import file_digest, write_json


PathLike = str | os.PathLike[str]
Network = TypeVar("Network", bound=HubNetwork)


@dataclass(frozen=True)
class Conversion(Generic[Network]):
    """A converted `network` in `folder`: the SHA-256 of its tensors, and name and SHA-256 of each published file."""

    folder: Path
    network: Network
    digest: str
    made_from: dict[str, dict[str, str]]


def write_conversion(
    network: Network, output: PathLike, files: Mapping[str, PathLike], notes: Mapping[str, Any]
) -> Conversion[Network]:
    """Write `network`, read from the published `files`, to the folder `output`, with ``conversion.json`` beside it.

    `notes` join the record, JSON-ready. Raises `StoreError` if the folder cannot be written, `OSError` if a file is gone.
    """
    folder = Path(output)
    network.save_pretrained(folder)
    digest = state_dict_digest(network.checkpoint_state())
    made_from = {part: {"file": Path(path).name, "sha256": file_digest(path)} for part, path in files.items()}
    write_json(folder / "conversion.json", {"made_from": made_from, "tensors_sha256": digest, **notes})
    return Conversion(folder, network, digest, made_from)
