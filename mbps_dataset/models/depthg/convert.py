"""A published checkpoint of DepthG or STEGO to the form in which networks are kept here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbps_dataset.models.conversion import Conversion, PathLike, write_conversion
from mbps_dataset.models.depthg.segmenter import DepthGSegmenter


def convert_depthg(
    *, checkpoint: PathLike, output: PathLike, backbone: PathLike | None = None, **settings: Any
) -> Conversion[DepthGSegmenter]:
    """Read a Lightning checkpoint and write a folder that `DepthGSegmenter.from_pretrained` reads.

    `backbone` and `settings` (`supervision`) are those of `DepthGSegmenter.from_reference`, which also says which errors are
    raised; of the files only tensors are ever read.
    """
    network = DepthGSegmenter.from_reference(checkpoint, backbone=backbone, **settings)
    files, notes = {"checkpoint": checkpoint}, {"supervision": network.supervision}
    if backbone is not None and Path(backbone).is_file():
        files["backbone"] = backbone
    elif backbone is not None:
        notes["backbone"] = str(backbone)
    return write_conversion(network, output, files, notes)
