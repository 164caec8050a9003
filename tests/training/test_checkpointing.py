"""Resuming gives the same numbers as never stopping, and a bad file gives one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mbps_dataset.errors import StoreError
from mbps_dataset.training.checkpointing import Checkpoint, seeded


def _train(path: Path | None, steps: int, *, stop_after: int | None = None, seed: int = 3) -> torch.Tensor:
    """A noisy regression; `stop_after` plays the kill."""
    with seeded(seed):
        model = torch.nn.Linear(4, 1)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        checkpoint = Checkpoint(path, settings={"seed": seed}, every=2, model=model, optimiser=optimiser)
        for step in range(checkpoint.resume(), steps):
            x = torch.randn(8, 4)
            loss = (torch.nn.functional.dropout(model(x), 0.3) - x.sum(1, keepdim=True)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            checkpoint.step_done(step + 1)
            if stop_after == step + 1:
                break
        return model.weight.detach().clone()


def test_resumed_training_is_bit_equal(tmp_path: Path) -> None:
    whole = _train(None, 9)
    path = tmp_path / "run" / "checkpoint.pt"
    _train(path, 9, stop_after=5)  # the last file is from step 4: step 5 is done twice
    resumed = _train(path, 9)
    assert torch.equal(whole, resumed)
    assert not torch.equal(whole, _train(None, 9, seed=4))


def test_seeded_gives_the_generators_back() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with seeded(7):
        torch.rand(10)
    assert torch.equal(torch.rand(3), expected)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    Checkpoint(tmp_path / "c.pt", settings={"rate": 0.1, "seed": 0}, model=model).save(5)
    other = Checkpoint(tmp_path / "c.pt", settings={"rate": 0.2, "seed": 0}, model=model)
    with pytest.raises(StoreError, match="rate was 0.1 and is 0.2"):
        other.resume()


def test_missing_part_is_named(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    Checkpoint(tmp_path / "c.pt", settings={}, model=model).save(5)
    with pytest.raises(StoreError, match="holds no bank"):
        Checkpoint(tmp_path / "c.pt", settings={}, model=model, bank=torch.nn.Linear(1, 1)).resume()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"c\.pt: cannot be read .*delete it") as caught:
        Checkpoint(path, settings={}, model=torch.nn.Linear(2, 2)).resume()
    assert "\n" not in str(caught.value)


class _Dangerous:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": _Dangerous(), "settings": {}, "states": []}, tmp_path / "c.pt")
    with pytest.raises(StoreError, match="cannot be read"):
        Checkpoint(tmp_path / "c.pt", settings={}).resume()
    assert not (tmp_path / "ran").exists()


def test_failed_write_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(2, 2)
    checkpoint = Checkpoint(tmp_path / "c.pt", settings={}, model=model)
    checkpoint.save(1)

    def _full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", _full)
    with pytest.raises(StoreError, match="No space left"):
        checkpoint.save(2)
    monkeypatch.undo()
    assert checkpoint.resume() == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.pt"]


def test_every_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1 step"):
        Checkpoint(None, settings={}, every=0)
