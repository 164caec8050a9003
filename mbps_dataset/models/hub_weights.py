"""Networks on the Hub: what is there already, whether the rest may be had, and downloading it.

Only JSON and safetensors are fetched. Access is asked for before anything is downloaded, with one small request for a
file that a gated repository keeps back (its page and its list of files are public).
"""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.errors import WeightsError
from mbps_dataset.reading.hub_errors import why_no_network


PUBLISHED = (
    "facebook/dinov2-small",
    "facebook/dinov3-vitb16-pretrain-lvd1689m",
    "apple/DepthPro-hf",
    "facebook/dino-vitb8",
)
"""Ids that recipes and messages name."""

_PATTERNS = ["*.json", "*.safetensors"]


def is_hub_id(reference: str) -> bool:
    """Whether a reference can be ``org/name`` of the Hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(reference)
    except HFValidationError:
        return False
    return reference.count("/") == 1


def cached(hub_id: str) -> Path | None:
    """The folder of a network that has been downloaded whole, without asking the Hub."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=_PATTERNS, local_files_only=True))
    except (OSError, ValueError):  # not there, or not whole
        return None
    return folder if any(folder.glob("*.safetensors")) else None


def require_access(hub_id: str) -> None:
    """Raises `WeightsError` with a clause that goes on after the id, if the network cannot be read from the Hub."""
    from huggingface_hub import HfApi, hf_hub_url

    try:
        HfApi().get_hf_file_metadata(url=hf_hub_url(hub_id, "config.json"))
    except Exception as error:  # of the Hub, of the connection, of the disk: each has its sentence
        raise WeightsError(why_no_network(error, hub_id, PUBLISHED)) from None


def download(hub_id: str) -> Path:
    """The folder of a network, fetched once. Raises `WeightsError` as `require_access`."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_PATTERNS))
    except Exception as error:  # of the Hub, of the connection, of the disk: each has its sentence
        raise WeightsError(why_no_network(error, hub_id, PUBLISHED)) from None
