"""Networks that are saved and loaded the Hub's own way: ``model.safetensors``, ``config.json``, a model card.

The mechanics are those of `huggingface_hub.PyTorchModelHubMixin`. Decisions made here:

* the configuration is one frozen dataclass; unknown or ill-typed keys in ``config.json`` are an error, not a guess;
* only safetensors are read, and every tensor must fit: a partly loaded network gives plausible, wrong labels;
* what is stored is `checkpoint_state`, which may use steadier names than the module's own (see the DINOv2 backbone,
  whose names change between releases of ``transformers``).
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import save_file

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.checkpoints import StateDict, read_state_dict, require_match
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import shown
from mbps_dataset.settings import validate
from mbps_dataset.store import replacing


if TYPE_CHECKING:
    from _typeshed import DataclassInstance


WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"

_MOST_BYTES = 4_000_000

Network = TypeVar("Network", bound="HubNetwork")
Config = TypeVar("Config", bound="DataclassInstance")


class HubNetwork(torch.nn.Module, PyTorchModelHubMixin):
    """A network with `from_pretrained`, `save_pretrained` and `push_to_hub`, built from one frozen dataclass.

    A subclass sets `config_class` and takes that dataclass as its only constructor argument, `config`.
    """

    config_class: ClassVar[type]
    config: Any

    def checkpoint_state(self) -> StateDict:
        """Tensors under the names in which they are stored."""
        return dict(self.state_dict())

    def load_checkpoint_state(self, state: StateDict) -> None:
        """Take over tensors stored by `checkpoint_state`."""
        self.load_state_dict(state)

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: tensor.detach().cpu().clone() for name, tensor in self.checkpoint_state().items()}
        write_tensors(save_directory / WEIGHTS_FILE, state)

    @classmethod
    def from_pretrained(
        cls: type[Network], pretrained_model_name_or_path: str | os.PathLike[str], **more: Any
    ) -> Network:
        """As `huggingface_hub.ModelHubMixin.from_pretrained`: a folder or a Hub id. Raises `WeightsError`."""
        if os.path.isdir(pretrained_model_name_or_path):
            read_config(pretrained_model_name_or_path)  # the mixin assumes that it can be read
        return super().from_pretrained(os.fspath(pretrained_model_name_or_path), **more)

    @classmethod
    def _from_pretrained(
        cls: type[Network],
        *,
        model_id: str,
        config: dict[str, Any] | Any | None = None,
        map_location: str | torch.device = "cpu",
        **download: Any,
    ) -> Network:
        if config is None:
            raise WeightsError(f"{model_id} has no config.json; give a folder or Hub id written by save_pretrained.")
        if isinstance(config, dict):
            config = config_from_dict(cls.config_class, config, source=model_id)
        path = weights_path(model_id, **download)
        state = read_state_dict(path)
        with torch.device("meta"):  # so that sizes which do not fit the file take no memory
            expected = {name: tuple(tensor.shape) for name, tensor in cls(config).checkpoint_state().items()}
        described, own = (
            f"{cls.__name__} as its {CONFIG_FILE} describes it",
            f"the {CONFIG_FILE} written with this file",
        )
        require_match(state, expected, source=str(path), network=described, fits=own)
        network = cls(config)
        network.load_checkpoint_state(state)
        return network.to(map_location).eval()


def write_tensors(path: Path, state: StateDict) -> None:
    """Write a safetensors file whole or not at all, also over a file whose tensors are in use. Raises `StoreError`."""
    with replacing(path) as temporary:
        try:
            save_file(state, str(temporary), metadata={"format": "pt"})
        except SafetensorError as error:  # how safetensors tells of a full disk
            raise OSError(str(error)) from error


def config_from_dict(config_class: type[Config], values: dict[str, Any], *, source: str) -> Config:
    """Build a configuration dataclass from the content of a ``config.json``; `WeightsError` names a key it lacks."""
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise WeightsError(
            f"{source}: config.json has keys that {config_class.__name__} does not know ({', '.join(unknown)}); "
            "it was written for another network or by a newer mbps-dataset."
        )
    try:
        config = config_class(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        validate(config)
        return config
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{source}: config.json cannot be used: {str(error)[:300]}") from error


def read_config(folder: str | os.PathLike[str], name: str = CONFIG_FILE) -> dict[str, Any]:
    """The content of a local ``config.json`` (or another JSON file of a network). Raises `WeightsError` in one line."""
    path = Path(folder) / name
    try:
        content = read_json(path, most_bytes=_MOST_BYTES, nan=True)
    except FileNotFoundError:
        raise WeightsError(f"{folder} has no {name}; give a folder or Hub id of a whole network.") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from None
    except ValueError as error:
        raise WeightsError(f"{path}: damaged ({error}); download the network again.") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds {shown(content)}, where an object is expected; download the network again.")
    return content


def weights_path(model_id: str, **download: Any) -> str:
    """The weights file of a local folder, or of a Hub id, which is downloaded once. Raises `WeightsError`."""
    if os.path.isdir(model_id):
        return os.path.join(model_id, WEIGHTS_FILE)
    try:
        return hf_hub_download(repo_id=model_id, filename=WEIGHTS_FILE, **download)
    except EntryNotFoundError as error:
        raise WeightsError(
            f"{model_id} on the Hub has no {WEIGHTS_FILE}; other formats are not read. Convert it with `mbps convert`."
        ) from error
