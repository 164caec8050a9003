"""Published SPIdepth files to the form in which networks are kept here."""

from __future__ import annotations

from typing import Any

from mbps_dataset.models.conversion import Conversion, PathLike, write_conversion
from mbps_dataset.models.spidepth import SPIdepth


def convert_spidepth(
    *, encoder: PathLike, decoder: PathLike, output: PathLike, **settings: Any
) -> Conversion[SPIdepth]:
    """Read a published pair of files and write a folder that `SPIdepth.from_pretrained` reads.

    `encoder` is the file with ConvNeXtV2 and U-Net (``encoder.pth``), `decoder` the one with the query decoder
    (``depth.pth``), each ``.pth`` or ``.safetensors``; `settings` (`size`, `heads`, `min_depth`, `max_depth`,
    `supervision`) are those of `SPIdepth.from_reference`, which also says which errors are raised.
    """
    network = SPIdepth.from_reference(encoder=encoder, decoder=decoder, **settings)
    files = {"encoder": encoder, "decoder": decoder}
    return write_conversion(network, output, files, {"supervision": network.supervision})
