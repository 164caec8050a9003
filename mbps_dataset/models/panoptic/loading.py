"""Opening any panoptic network by what its ``config.json`` says it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models import hub_weights
from mbps_dataset.models.networks import WEIGHTS_ROOT
from mbps_dataset.models.panoptic.network import PanopticNetwork
from mbps_dataset.models.panoptic.record import NAME as RECORD_FILE
from mbps_dataset.models.panoptic.record import read_record
from mbps_dataset.models.saved_network import CONFIG_FILE, WEIGHTS_FILE, read_config
from mbps_dataset.reading.names import shown
from mbps_dataset.store import digest_of, file_digest


BUILTIN = "builtin"
"""Names the network that ships with the package."""


def load_panoptic(folder_or_hub_id: str | os.PathLike[str]) -> PanopticNetwork:
    """The network of a folder, of a Hub id that is downloaded once, or "builtin", in evaluation mode on the CPU.

    Raises `WeightsError` if there is none, if it is no panoptic network of ours, or if its files do not fit.
    """
    folder = _folder_of(os.fspath(folder_or_hub_id))
    kind = read_config(folder).get("network")
    if not isinstance(kind, str) or kind not in LOADERS:
        found = f"names the network {shown(kind)}" if kind is not None else "does not name its network"
        raise WeightsError(
            f"{folder_or_hub_id}: config.json {found}, which is no panoptic network that can be opened here; give a "
            f"folder or Hub id that `mbps train panoptic` or `mbps convert` wrote ({', '.join(LOADERS)})."
        )
    try:
        network = LOADERS[kind](folder)
    except RecipeError as error:  # sizes that no network can have
        raise WeightsError(f"{folder_or_hub_id}: config.json cannot be used: {error}") from error
    network.record = read_record(folder)
    return network


def panoptic_digest(folder_or_hub_id: str | os.PathLike[str]) -> str:
    """Hex digest over the files of a panoptic network: weights, configuration and record. Raises `WeightsError`."""
    folder = _folder_of(os.fspath(folder_or_hub_id))
    names = [WEIGHTS_FILE, CONFIG_FILE, RECORD_FILE]
    files = [folder / name for name in names if (folder / name).is_file()]
    return digest_of([(path.name, file_digest(path)) for path in files])


def _folder_of(reference: str) -> Path:
    if reference == BUILTIN:
        return WEIGHTS_ROOT / "panoptic"
    if os.path.isdir(reference):
        return Path(reference)
    if os.path.isfile(reference):
        raise WeightsError(
            f"{reference} is a file. Make a folder of a published one, once, with `mbps convert cups` (u2seg, cutler, cuvler) "
            f"--checkpoint {reference} --output FOLDER, and give that folder."
        )
    if not hub_weights.is_hub_id(reference):
        raise WeightsError(
            f"{reference} is neither a folder nor a Hub id (org/name); give what `mbps train panoptic` or `mbps convert` wrote."
        )
    try:
        return hub_weights.cached(reference) or hub_weights.download(reference)
    except WeightsError as error:
        raise WeightsError(f"{reference} {error}.") from None


def _dense(folder: Path) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.dense import DensePanoptic

    return DensePanoptic.from_pretrained(folder)


def _mask2former(folder: Path) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanoptic

    return Mask2FormerPanoptic.from_pretrained(folder)


def _cascade(folder: Path) -> PanopticNetwork:
    from mbps_dataset.models.cascade import CascadeMaskRCNN

    return CascadeMaskRCNN.from_pretrained(folder)


LOADERS: dict[str, Callable[[Path], PanopticNetwork]] = {
    "dense": _dense,
    "mask2former": _mask2former,
    "cascade": _cascade,
}
"""How each kind is opened, by the value of ``network`` in its configuration; imports are late, because some are large."""
