"""Several processes that train together: real ones, on the processor, started as `accelerate launch` starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mbps_dataset.training.processes import Processes


pytest.importorskip("accelerate", reason="several processes need accelerate")

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from mbps_dataset.training import cause
from mbps_dataset.training.processes import Processes
from tests.training.pictures import street_like_pictures
from tests.training.test_cause import TINY, TINY_NETWORK

torch.set_num_threads(1)
folder, saves = Path(sys.argv[1]), int(sys.argv[2])
processes = Processes.started()
torch.manual_seed(processes.rank)  # other first weights in every process: they must be made equal
segmenter = cause.CauseSegmenter(TINY_NETWORK)
segmenter.backbone.load_state_dict(torch.load(folder / "backbone.pt", weights_only=True))
cause.SAVE_EVERY = 1
if saves:
    whole, count = cause.Checkpoint.save, [0]
    def save(self, step):
        whole(self, step)
        count[0] += 1
        if count[0] == saves:
            raise KeyboardInterrupt
    cause.Checkpoint.save = save
trained = cause.train_cause(
    segmenter, street_like_pictures(), TINY, checkpoint_folder=folder / "checkpoints", show_progress=False,
    processes=processes,
)
torch.save(trained.state_dict(), folder / f"trained_{processes.rank}.pt")
"""


def _run(folder: Path, count: int, killed_after: int = 0) -> None:
    """Start `count` processes and wait; `killed_after` so many checkpoints they stop."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), str(killed_after)],
            env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true",
                                         "PYTHONPATH": str(ROOT)},
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    errors = [process.communicate(timeout=240)[1] for process in started]
    for process, error in zip(started, errors):
        assert (process.returncode == 0) != bool(killed_after), error


def _trained(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"trained_{rank}.pt", weights_only=True)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    from mbps_dataset.models.cause import CauseSegmenter
    from tests.training.test_cause import TINY_NETWORK

    torch.manual_seed(0)
    backbone = CauseSegmenter(TINY_NETWORK).backbone.state_dict()
    made = [tmp_path / name for name in ("whole", "killed")]
    for folder in made:
        folder.mkdir()
        torch.save(backbone, folder / "backbone.pt")
    return made


def test_two_processes_learn_the_same_network_and_survive_a_kill(folders: list[Path]) -> None:
    whole, killed = folders
    _run(whole, 2)
    first, second = _trained(whole, 0), _trained(whole, 1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    _run(killed, 2, killed_after=4)
    _run(killed, 2)
    again = _trained(killed, 0)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_one_process_needs_nothing() -> None:
    alone, layer = Processes.started(), nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    before = layer.weight.grad.clone()
    alone.average_gradients(layer.parameters())
    assert alone == Processes() and torch.equal(layer.weight.grad, before)
    assert alone.share(7) == 7 and alone.gathered({"a": 1}) == [{"a": 1}]


def test_a_batch_must_be_shared_evenly() -> None:
    with pytest.raises(ValueError, match="3 processes can share evenly, but got 16"):
        Processes(rank=1, count=3).share(16)
