"""What computes with torch ends in a forked child too; each case is a fresh interpreter, since a pool stays for life.

A child that waits for ever is the fault, so here a limit of time says that it came back: a right run takes seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

LIMIT_S = 100

TORCH_FIRST = """
import numpy as np, os, torch
import mbps_dataset
"""
PACKAGE_FIRST = """
import mbps_dataset
import numpy as np, os, torch
"""

CRF = """
from mbps_dataset.stages.crf import dense_crf
y, x = np.mgrid[:64, :128]
image = np.stack([x, y * 2, x], -1).astype(np.uint8)
def work(_):
    return float(dense_crf(image, np.full((4, 64, 128), 0.25, np.float32)).sum())
"""
MODELS = """
from mbps_dataset.models.spidepth import SPIdepth, SPIdepthConfig
torch.manual_seed(0)
config = SPIdepthConfig((8, 16, 24, 32), (1, 1, 1, 1), (32, 24, 16, 8), queries=8, bins=8, layers=1, feedforward=64)
model = SPIdepth(config).eval()
def work(_):
    with torch.inference_mode():
        return round(float(model(torch.ones(1, 3, 128, 256)).mean()), 3)
"""
IMPORTED_IN_THE_CHILD = """
import numpy as np, os, torch
def work(_):
    import sys
    assert not any(name.startswith("mbps_dataset") for name in sys.modules)
    from mbps_dataset.stages.crf import dense_crf
    return float(dense_crf(np.zeros((64, 128, 3), np.uint8), np.full((4, 64, 128), 0.25, np.float32)).sum())
assert (torch.ones(2000, 500).softmax(1).sum() - 2000).abs() < 1
"""

POOL = """
import {0} as processes
def worked(_):
    return work(0), torch.get_num_threads()
with processes.get_context("fork").Pool(1) as pool:
    (result, threads), = pool.map(worked, range(1))
print(result == work(0), threads, torch.get_num_threads())
"""
BEFORE = """
alone = work(0)
"""
FORK = """
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, f"{work(0) == alone} {torch.get_num_threads()}".encode())
    os._exit(0)
print(os.read(reading, 100).decode(), torch.get_num_threads())
"""


def output_of(script: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", script]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(TORCH_FIRST + CRF + BEFORE + POOL.format("multiprocessing"), id="dense_crf in a pool"),
        pytest.param(
            PACKAGE_FIRST + MODELS + BEFORE + POOL.format("multiprocess"),
            id="a network in a pool of datasets",
            marks=pytest.mark.nightly,
        ),
        pytest.param(PACKAGE_FIRST + CRF + BEFORE + FORK, id="dense_crf after os.fork", marks=pytest.mark.nightly),
        pytest.param(IMPORTED_IN_THE_CHILD + POOL.format("multiprocessing"), id="imported in the child"),
    ],
)
def test_a_forked_child_computes_what_its_parent_does_in_one_thread(script: str) -> None:
    assert output_of(script) == "True 1 2"
