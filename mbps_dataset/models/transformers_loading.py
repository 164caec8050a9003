"""Loading networks of transformers, complete or not at all, and without progress bars.

Transformers fills what a checkpoint lacks with random numbers and says so in a table; a partly random network gives
plausible, wrong labels, so here it is an error. Only safetensors are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from mbps_dataset.errors import WeightsError


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

    Raises `WeightsError` if it cannot be read, or lacks a tensor.
    """
    try:
        with without_progress_bars():
            network, report = model_class.from_pretrained(
                os.fspath(folder_or_hub_id), use_safetensors=True, output_loading_info=True, **hub_arguments
            )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise WeightsError(f"{folder_or_hub_id} cannot be loaded as {expected} ({reason}).") from error
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        raise WeightsError(
            f"{folder_or_hub_id} is not complete as {expected}: {len(absent)} tensors are missing or of another shape, "
            f"{absent[0]} among them."
        )
    return network.eval()


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for every file, and give the caller its setting back."""
    drawn = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            transformers_logging.enable_progress_bar()
