"""DenseCRF: ours on one and two threads against pydensecrf, in one interleaved run.

    python -m tests.benchmarks.bench_crf [--sizes 322x644 512x1024 1024x2048] [--classes 2 27 80] [--rounds 5]

Per size and number of classes: seconds from picture and probabilities to labels (median over rounds; the tables kept per
image size are made before), ratio to pydensecrf (median of the ratios of each round), peak memory beyond the inputs
(own process each), and the share of equal labels. Next to wall time stands the CPU time of the calling thread: what wall
time would be on a machine without other load, if waiting is not counted (``OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0``).
Then pictures per second with one and with two processes of one thread.

Without pydensecrf only our own columns are printed. `--photo FILE` takes the place of the rendered picture.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mbps_dataset.stages.crf import dense_crf


HAS_PYDENSECRF = find_spec("pydensecrf") is not None


def picture(height: int, width: int, photo: Path | None) -> np.ndarray:
    """A photograph, or shaded boxes with grain 2: a quarter as many lattice vertices as pixels, as on Cityscapes."""
    if photo is not None:
        return np.asarray(Image.open(photo).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    random = np.random.default_rng(0)
    image = np.repeat(np.linspace(180, 60, height, dtype=np.float32)[:, None, None], width, axis=1).repeat(3, axis=2)
    for _ in range(60):
        box_height, box_width = random.integers(height // 30, height // 3), random.integers(width // 60, width // 6)
        top, left = random.integers(0, height), random.integers(0, width)
        box = image[top : top + box_height, left : left + box_width]
        box[:] = random.integers(0, 256) + random.normal(0, 12, 3)
        box += np.arange(len(box))[:, None, None] * random.normal(0, 0.3)
    image += random.normal(0, 2, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def probabilities(n_classes: int, height: int, width: int) -> np.ndarray:
    """Smooth random logits at a fourteenth of the size, enlarged, times 3, through a softmax."""
    logits = torch.randn(1, n_classes, height // 14, width // 14, generator=torch.Generator().manual_seed(0))
    logits = torch.nn.functional.interpolate(logits, size=(height, width), mode="bilinear").mul_(3)[0]
    return logits.softmax(dim=0).numpy()


def labels(image: np.ndarray, probs: np.ndarray, backend: str) -> np.ndarray:
    return dense_crf(image, probs, backend=backend).argmax(axis=0)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the calling thread."""
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - wall, time.thread_time() - cpu


def compare(height: int, width: int, n_classes: int, rounds: int, threads: list[int], photo: Path | None) -> None:
    image, probs = picture(height, width, photo), probabilities(n_classes, height, width)
    torch.set_num_threads(1)
    mine = labels(image, probs, "torch")
    rivals: dict[str, tuple[str, int]] = {f"ours {n}t": ("torch", n) for n in threads}
    equal = ""
    if HAS_PYDENSECRF:
        rivals["pydensecrf"] = ("pydensecrf", 1)
        equal = f"  equal labels {100 * (mine == labels(image, probs, 'pydensecrf')).mean():.4f} %"
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, (backend, n_threads) in rivals.items():
            torch.set_num_threads(n_threads)
            seconds[name].append(timed(partial(labels, image, probs, backend)))
    torch.set_num_threads(1)
    memory = {b: peak_megabytes(b, height, width, n_classes) for b in sorted({b for b, _ in rivals.values()})}
    print(f"\n{height} x {width}, K = {n_classes}{equal}")
    for name, (backend, _) in rivals.items():
        print(f"  {name:11s}{row(seconds, name)}  peak {memory[backend]:5d} MB")


def row(seconds: dict[str, list[tuple[float, float]]], name: str) -> str:
    text = ""
    for kind, which in (("wall", 0), ("CPU", 1)):
        text += f"  {kind} {statistics.median(s[which] for s in seconds[name]):7.3f} s"
        if "pydensecrf" in seconds:
            ratios = [theirs[which] / ours[which] for theirs, ours in zip(seconds["pydensecrf"], seconds[name])]
            text += f" {statistics.median(ratios):5.2f}x"
    return text


def peak_megabytes(backend: str, height: int, width: int, n_classes: int) -> int:
    """Growth of the peak resident memory over one call, in a process of its own; one iteration reaches the peak."""
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        "--measure-memory",
        backend,
        str(height),
        str(width),
        str(n_classes),
    ]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(backend: str, height: int, width: int, n_classes: int) -> None:
    torch.set_num_threads(1)
    image = picture(height, width, None)
    probs = np.empty((n_classes, height, width), np.float32)
    for rows in np.array_split(np.arange(height), 16):  # in strips, so that making it does not set the peak
        strip = np.random.default_rng(0).random((n_classes, len(rows), width), np.float32) ** 8
        probs[:, rows] = strip / strip.sum(axis=0)
    dense_crf(image[:32, :32], np.ascontiguousarray(probs[:, :32, :32]), backend=backend)  # lazy imports
    before = peak_kilobytes()
    dense_crf(image, probs, backend=backend, iterations=1)
    print((peak_kilobytes() - before) // 1024)


def peak_kilobytes() -> int:
    """High-water mark of this program (Linux); ru_maxrss would count the parent it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def work(backend: str, height: int, width: int, n_classes: int, n_pictures: int) -> None:
    """What one process of the throughput measurement does: ready, wait for a line, refine, report."""
    torch.set_num_threads(1)
    image, probs = picture(height, width, None), probabilities(n_classes, height, width)
    labels(image, probs, backend)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(n_pictures):
        labels(image, probs, backend)
    print("done", flush=True)


def throughput(backend: str, n_processes: int, n_pictures: int) -> float:
    """Pictures of 322 x 644 with 27 classes per second, one thread per process."""
    command = [sys.executable, "-m", __spec__.name, "--work", backend, "322", "644", "27", str(n_pictures)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(n_processes)]
    for worker in workers:
        worker.stdout.readline()
    start = time.perf_counter()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.stdout.readline()
    elapsed = time.perf_counter() - start
    for worker in workers:
        worker.communicate()
    return n_processes * n_pictures / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["322x644", "512x1024", "1024x2048"], metavar="HxW")
    parser.add_argument("--classes", nargs="+", type=int, default=[2, 27, 80])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--measure-memory", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure_memory:
        return measure_memory(options.measure_memory[0], *map(int, options.measure_memory[1:]))
    if options.work:
        return work(options.work[0], *map(int, options.work[1:]))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, numpy {np.__version__}")
    for size in options.sizes:
        height, width = map(int, size.split("x"))
        for n_classes in options.classes:
            compare(height, width, n_classes, options.rounds, options.threads, options.photo)
    print("\npictures per second, 322 x 644, K = 27, processes of one thread")
    for backend in ["torch", "pydensecrf"] if HAS_PYDENSECRF else ["torch"]:
        rates = [throughput(backend, n, n_pictures=5) for n in (1, 2)]
        print(f"  {backend:11s} one {rates[0]:.2f}  two {rates[1]:.2f}  ({rates[1] / rates[0]:.2f}x)")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
