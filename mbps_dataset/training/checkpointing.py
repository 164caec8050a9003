"""Training that survives being killed: one file that appears whole or not at all, and continues bit for bit.

Decisions made here, all ours:

* A checkpoint holds the step, the state of every registered part (networks, optimisers, schedules, memory banks:
  anything with `state_dict` and `load_state_dict`), the state of torch's random generators, and the settings it was
  made with. Continuing under other settings is refused, because the result would belong to neither.
* Of several processes (see `processes`) the first writes the states of all; they continue in the same number.
* It is read with ``weights_only=True``: tensors, numbers and strings only, so a foreign file cannot run code.
* It is written beside its final name and renamed, so that a kill during writing leaves the previous one.
* Randomness comes from torch's default generators inside `seeded`, which puts the caller's generators back; a trainer
  that draws its samples from them gives one result per seed, however often it was interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from mbps_dataset.errors import StoreError
from mbps_dataset.store import replacing
from mbps_dataset.training.processes import Processes


ALONE = Processes()


class Stateful(Protocol):
    """A network, optimiser, schedule or bank: its state is a dictionary of tensors, numbers and strings."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class Checkpoint:
    """Saves and restores the parts of one training run.

    `path` is the file (None: nothing is ever written or read), `settings` a flat dictionary of numbers and strings
    that must be the same when the run is continued, `parts` the things that change while training, `every` the number
    of steps between two files. `processes` that train together save and resume at the same steps.

    A training loop that survives a kill::

        checkpoint = Checkpoint(path, settings={"seed": 0}, model=model, optimiser=optimiser)
        for step in range(checkpoint.resume(), steps):
            train_one_step()
            checkpoint.step_done(step + 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        settings: Mapping[str, Any],
        every: int = 200,
        processes: Processes = ALONE,
        **parts: Stateful,
    ) -> None:
        if every < 1:
            raise ValueError(f"Expected `every` to be at least 1 step, but got {every}.")
        self.path = None if path is None else Path(path)
        self.processes = processes
        several = {"processes": processes.count} if processes.count > 1 else {}
        self.settings = {key: _plain(value) for key, value in (dict(settings) | several).items()}
        self.every = every
        self.parts = parts

    def resume(self) -> int:
        """Restore every part and the random generators; returns the number of steps already done (0 without a file).

        Raises `StoreError` if the file cannot be read, was made with other settings, or lacks a part.
        """
        if self.path is None or not self.path.exists():
            return 0
        stored = _read(self.path)
        self._require_same_settings(stored["settings"])
        state = stored["states"][self.processes.rank]
        missing = sorted(set(self.parts) - set(state["parts"]))
        if missing:
            raise StoreError(f"{self.path}: holds no {', '.join(missing)}; delete it to start this training again.")
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        _set_random_state(state["random"])
        return int(stored["step"])

    def step_done(self, step: int) -> None:
        """Save when `step` (steps done so far) is a multiple of `every`."""
        if step % self.every == 0:
            self.save(step)

    def save(self, step: int) -> None:
        """Write the checkpoint after `step` steps. Raises `StoreError` if the folder cannot be written."""
        if self.path is None:
            return
        state = {"parts": {name: part.state_dict() for name, part in self.parts.items()}, "random": _random_state()}
        states = self.processes.gathered(state)
        if self.processes.rank == 0:
            _write(self.path, {"step": step, "settings": self.settings, "states": states})
        self.processes.wait_for_all()

    def _require_same_settings(self, stored: Mapping[str, Any]) -> None:
        keys = sorted(set(stored) | set(self.settings))
        other = [key for key in keys if stored.get(key) != self.settings.get(key)]
        if other:
            changes = ", ".join(f"{key} was {stored.get(key)} and is {self.settings.get(key)}" for key in other)
            raise StoreError(
                f"{self.path}: made with other settings ({changes}); "
                "give the same settings to continue it, or delete it to start again."
            )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block from one seed on CPU and every CUDA device; afterwards the caller's generators are as before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path, durable=True) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # how torch tells of a full disk
            raise OSError(str(error).splitlines()[0]) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if not {"step", "settings", "states"} <= set(stored):
            raise ValueError("it is not a training checkpoint")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read ({reason}); delete it to start this training again.") from error
    return stored


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
