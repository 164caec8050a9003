"""Published flow weights to the form in which networks are kept here."""

from __future__ import annotations

from typing import Any

from mbps_dataset.models.checkpoints import read_state_dict
from mbps_dataset.models.conversion import Conversion, PathLike, write_conversion
from mbps_dataset.models.raft.network import RaftFlow


def convert_raft(*, checkpoint: PathLike, output: PathLike, **settings: Any) -> Conversion[RaftFlow]:
    """Read a published file (SMURF's ``raft_smurf.pt`` or torchvision's) and write what `RaftFlow.from_pretrained` reads.

    `settings` (`layout`, `levels`, `updates`, `supervision`) are those of `RaftFlow.from_reference`, which also says which
    errors are raised; only tensors are ever read, and other objects of a file left out, so that one of another network is told
    what it is.
    """
    state = read_state_dict(checkpoint, leave_out_objects=True)
    network = RaftFlow.from_reference(state, source=str(checkpoint), **settings)
    return write_conversion(network, output, {"checkpoint": checkpoint}, {"supervision": network.supervision})
