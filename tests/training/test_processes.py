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

from mbps_dataset.errors import RecipeError
from mbps_dataset.training.processes import Processes


pytest.importorskip("accelerate", reason="several processes need accelerate")

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
import torch
from mbps_dataset.training import cause
from mbps_dataset.training.processes import Processes
from tests.training.pictures import street_like_pictures
from tests.training.test_cause import TINY, TINY_NETWORK

torch.set_num_threads(1)
cause.SAVE_EVERY = 1
folder, processes = Path(sys.argv[1]), Processes.started()


def trained(checkpoints):
    torch.manual_seed(0)
    backbone = cause.CauseSegmenter(TINY_NETWORK).backbone.state_dict()
    torch.manual_seed(1 + processes.rank)  # other first weights in every process: they must be made equal
    segmenter = cause.CauseSegmenter(TINY_NETWORK)
    segmenter.backbone.load_state_dict(backbone)
    return cause.train_cause(
        segmenter, street_like_pictures(), TINY, checkpoint_folder=folder / checkpoints, show_progress=False,
        processes=processes,
    ).state_dict()


torch.save(trained("whole"), folder / f"whole_{processes.rank}.pt")
save, saves = cause.Checkpoint.save, []


def save_and_stop(self, step):
    save(self, step)
    saves.append(step)
    if len(saves) == 4:
        raise KeyboardInterrupt


cause.Checkpoint.save = save_and_stop
try:
    trained("stopped")
except KeyboardInterrupt:
    cause.Checkpoint.save = save
    torch.save(trained("stopped"), folder / f"resumed_{processes.rank}.pt")
"""


def run_together(script: str, folder: Path, count: int) -> None:
    """Start `count` processes of `script`, which is given `folder`, and wait for them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count),
                "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]  # fmt: skip
    for process in started:
        error = process.communicate(timeout=1500)[1]
        assert process.returncode == 0, error


@pytest.mark.nightly
def test_two_processes_learn_the_same_network_and_continue_where_they_stopped(tmp_path: Path) -> None:
    run_together(SCRIPT, tmp_path, 2)
    first, *others = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("whole_0", "whole_1", "resumed_0", "resumed_1")
    )
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_one_process_needs_nothing() -> None:
    alone, layer = Processes.started(), nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    before = layer.weight.grad.clone()
    alone.average_gradients(layer.parameters())
    assert alone == Processes() and torch.equal(layer.weight.grad, before)
    assert alone.share(7) == 7 and alone.gathered({"a": 1}) == [{"a": 1}]


def test_a_batch_must_be_shared_evenly() -> None:
    with pytest.raises(RecipeError, match="16 windows cannot be shared by 3 processes evenly; choose a multiple of 3"):
        Processes(rank=1, count=3).share(16)
