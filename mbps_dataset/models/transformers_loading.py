"""Loading networks of transformers, complete or not at all, and without progress bars.

Transformers fills what a checkpoint lacks with random numbers and says so in a table; a partly random network gives
plausible, wrong labels, so here it is an error. Only safetensors are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from huggingface_hub import snapshot_download
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import require_finite
from mbps_dataset.models.saved_network import CONFIG_FILE, read_config


if TYPE_CHECKING:
    from transformers import AutoModel, AutoModelForDepthEstimation


Network = TypeVar("Network", bound=PreTrainedModel)


@overload
def load_complete(
    model_class: type[Network], folder_or_hub_id: str | os.PathLike[str], *, expected: str, **hub_arguments: Any
) -> Network: ...
@overload
def load_complete(
    model_class: type[AutoModel | AutoModelForDepthEstimation],
    folder_or_hub_id: str | os.PathLike[str],
    *,
    expected: str,
    **hub_arguments: Any,
) -> PreTrainedModel: ...
def load_complete(
    model_class: Any, folder_or_hub_id: str | os.PathLike[str], *, expected: str, **hub_arguments: Any
) -> PreTrainedModel:
    """A network in evaluation mode from a folder or the Hub; `expected` says what it should be, for the messages.

    Raises `WeightsError` if it cannot be read, lacks a tensor, or has one that is not finite floating-point numbers.
    """
    if os.path.isfile(os.path.join(folder_or_hub_id, CONFIG_FILE)):
        read_config(folder_or_hub_id)  # transformers assumes that it is an object
    try:
        with without_progress_bars():
            network, report = model_class.from_pretrained(
                os.fspath(folder_or_hub_id), use_safetensors=True, output_loading_info=True, **hub_arguments
            )
    except Exception as error:  # sizes that cannot be make transformers raise nearly any kind
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise WeightsError(f"{folder_or_hub_id} cannot be loaded as {expected} ({reason}).") from error
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        raise WeightsError(
            f"{folder_or_hub_id} is not complete as {expected}: {len(absent)} tensors are missing or of another shape, "
            f"{absent[0]} among them."
        )
    source = os.fspath(folder_or_hub_id)
    _require_floating_files(network, source, hub_arguments)
    floating = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    require_finite(floating, source=source)
    return network.eval()


def _require_floating_files(network: PreTrainedModel, source: str, hub_arguments: dict[str, Any]) -> None:
    """Raises `WeightsError` if a file holds whole numbers for a parameter; transformers casts them without a word.

    Only headers are read. Whole numbers are right for buffers such as position ids, so the names of parameters decide.
    """
    parameters = {name.rpartition(".")[2] for name, _ in network.named_parameters()}
    for path in _weight_files(source, hub_arguments):
        with safe_open(str(path), framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - no mapping
                kind = opened.get_slice(name).get_dtype()
                if name.rpartition(".")[2] in parameters and not kind.startswith(("F", "BF")):
                    raise WeightsError(
                        f"{path}: the tensor {name} holds {kind}, where floating-point numbers are expected; a network "
                        "made of them labels everything wrongly. Download or convert it again."
                    )


def _weight_files(source: str, hub_arguments: dict[str, Any]) -> list[Path]:
    """The safetensors files that were just read from a folder or from the Hub's cache."""
    folder = Path(source)
    if not folder.is_dir():
        where = {key: hub_arguments[key] for key in ("cache_dir", "revision") if key in hub_arguments}
        folder = Path(snapshot_download(source, allow_patterns="*.safetensors", local_files_only=True, **where))
    return sorted(folder.glob("*.safetensors"))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar and a table for every file, and give the caller its settings back.

    What its table says of missing tensors is an error here.
    """
    drawn, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if drawn:
            transformers_logging.enable_progress_bar()
