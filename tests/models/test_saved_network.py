from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mbps_dataset.errors import StoreError, WeightsError
from mbps_dataset.models.cause.segmenter import CauseConfig
from mbps_dataset.models.saved_network import WEIGHTS_FILE, HubNetwork, config_from_dict, write_tensors


@dataclass(frozen=True)
class ToyConfig:
    width: int = 3
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width must be at least 1")


class Toy(HubNetwork, tags=["toy"]):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = torch.nn.Linear(config.width, 2)
        self.dropout = torch.nn.Dropout(0.5)


def test_a_folder_holds_config_weights_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Toy(ToyConfig(width=5, sizes=(7,))).train()
    network.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", WEIGHTS_FILE]
    assert json.loads((tmp_path / "config.json").read_text()) == {"width": 5, "sizes": [7]}
    loaded = Toy.from_pretrained(tmp_path)
    assert loaded.config == network.config and not loaded.training
    assert torch.equal(loaded.layer.weight, network.layer.weight)
    assert capsys.readouterr().out == ""


def test_push_sends_that_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: dict[str, Any] = {}

    class Api:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
            pushed.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})
            return f"https://hub/{repo_id}"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert Toy(ToyConfig()).push_to_hub("someone/toy") == "https://hub/someone/toy"
    assert pushed.keys() == {"README.md", "config.json", WEIGHTS_FILE}
    assert b"toy" in pushed["README.md"]


def test_partly_fitting_weights_are_refused(tmp_path: Path) -> None:
    Toy(ToyConfig()).save_pretrained(tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    del state["layer.bias"]
    save_file(state, tmp_path / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match=r"does not fit Toy as its config.json describes it"):
        Toy.from_pretrained(tmp_path)


def test_bad_folders(tmp_path: Path) -> None:
    Toy(ToyConfig()).save_pretrained(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(WeightsError, match="There is no checkpoint at .*model.safetensors"):
        Toy.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"width": 3, "depth": 2, "colour": 1}')
    with pytest.raises(WeightsError, match=r"keys that ToyConfig does not know \(colour, depth\)"):
        Toy.from_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match="has no config.json"):
        Toy.from_pretrained(tmp_path)


def test_weights_that_cannot_be_written_leave_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / WEIGHTS_FILE
    write_tensors(path, {"a": torch.ones(2)})
    in_use = load_file(path)
    write_tensors(path, {"a": in_use["a"] + 1})  # over the file whose tensors are read from

    def full(state: object, name: str, metadata: object) -> None:
        Path(name).write_bytes(b"half")
        raise SafetensorError("Error while serializing: No space left on device")

    monkeypatch.setattr("mbps_dataset.models.saved_network.save_file", full)
    with pytest.raises(StoreError, match="model.safetensors: cannot be written .*No space left"):
        write_tensors(path, {"a": torch.zeros(2)})
    assert load_file(path)["a"].tolist() == [2, 2] and list(tmp_path.iterdir()) == [path]


def test_values_out_of_range_name_their_source() -> None:
    with pytest.raises(WeightsError, match="some/repo: config.json cannot be used: width must be at least 1"):
        config_from_dict(ToyConfig, {"width": 0}, source="some/repo")
    with pytest.raises(WeightsError, match="some/repo: config.json cannot be used: code_dim must be a whole") as said:
        config_from_dict(CauseConfig, {"code_dim": [0] * 10_000}, source="some/repo")
    assert len(str(said.value)) < 400


def test_a_hub_repository_without_safetensors_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    (tmp_path / "config.json").write_text('{"width": 3}')

    def download(repo_id: str, filename: str, **_: Any) -> str:
        if filename == "config.json":
            return str(tmp_path / filename)
        raise EntryNotFoundError("no such file")

    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)
    monkeypatch.setattr("mbps_dataset.models.saved_network.hf_hub_download", download)
    with pytest.raises(WeightsError, match="someone/toy on the Hub has no model.safetensors"):
        Toy.from_pretrained("someone/toy")
