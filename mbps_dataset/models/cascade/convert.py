"""Published files of CUPS, U2Seg, CutLER and CuVLER to the form in which networks are kept here."""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.models.cascade.network import CascadeMaskRCNN
from mbps_dataset.models.cascade.reference import Published, require_own_name
from mbps_dataset.models.checkpoints import read_state_dict
from mbps_dataset.models.conversion import Conversion, PathLike, write_conversion


def convert_cascade(
    *,
    system: Published,
    checkpoint: PathLike,
    output: PathLike,
    class_names: tuple[str, ...] | None = None,
    supervision: str | None = None,
) -> Conversion[CascadeMaskRCNN]:
    """Read a published file and write what `CascadeMaskRCNN.from_pretrained` reads.

    `system`, `class_names` and `supervision` are those of `CascadeMaskRCNN.from_reference`, which also says which errors are raised.
    A file named as another system's are is refused too (`require_own_name`). Only tensors are read: of what else a file holds (the
    configuration in cups.ckpt, states of trainers) no code is even imported.
    """
    require_own_name(Path(checkpoint).name, system)
    network = CascadeMaskRCNN.from_reference(
        read_state_dict(checkpoint, leave_out_objects=True),
        system=system,
        class_names=class_names,
        supervision=supervision,
        source=str(checkpoint),
    )
    notes = {"system": system, "supervision": network.config.supervision, "licence": network.config.licence}
    return write_conversion(network, output, {"checkpoint": checkpoint}, notes)
