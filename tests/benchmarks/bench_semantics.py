"""One 1024 x 2048 image through our sliding windows and through the naive loop, on the same weights.

The naive loop is what the reference code does: one window at a time, its mirror image in a second pass, scores brought
to pixels per window. Prints the time of both, their ratio, and how far the results are apart.

    python tests/benchmarks/bench_semantics.py                  # the published sizes, random weights
    python tests/benchmarks/bench_semantics.py --tiny           # a network of the demo's size
    python tests/benchmarks/bench_semantics.py --device cuda
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.stages.semantics import resize_for_windows, sliding_window_log_probs


TINY = CauseConfig(
    hidden_size=192, layers=4, heads=3, position_grid=23, codebook_size=256, feed_forward_dim=512, projection_dim=256
)


@torch.no_grad()
def naive_log_probs(network: CauseSegmenter, image: torch.Tensor, crop: int = 322, stride: int = 161) -> torch.Tensor:
    """Windows and mirror images one after another: [3, h, w] -> [K, h, w]."""
    _, height, width = image.shape
    grid = crop // network.config.patch_size
    total = image.new_zeros(network.config.clusters, height, width)
    count = image.new_zeros(height, width)
    for left in sorted({*range(0, width - crop, stride), width - crop}):
        window = image[None, :, :crop, left : left + crop]
        plain = network.codes(window).transpose(1, 2).unflatten(2, (grid, grid))
        mirrored = network.codes(window.flip(-1)).transpose(1, 2).unflatten(2, (grid, grid)).flip(-1)
        codes = ((plain + mirrored) / 2).flatten(2).transpose(1, 2)
        scores = functional.interpolate(network.probe.log_probs(codes), (crop, crop), mode="bilinear")
        total[:, :crop, left : left + crop] += scores[0]
        count[:crop, left : left + crop] += 1
    return total / count


def seconds(run: Callable[[], torch.Tensor], device: torch.device, repeats: int) -> tuple[float, torch.Tensor]:
    """Shortest of several runs after one to warm up, and the result."""
    result, times = run(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tiny", action="store_true", help="a network of the demo's size instead of the published one"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    network = CauseSegmenter(TINY if arguments.tiny else CauseConfig()).to(device).eval()
    photo = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), dtype=np.uint8)
    image = network_pixels(resize_for_windows(photo)).to(device)
    naive_time, naive = seconds(lambda: naive_log_probs(network, image), device, arguments.repeats)
    exact_time, exact = seconds(
        lambda: sliding_window_log_probs(network, image, autocast=False), device, arguments.repeats
    )
    print(f"naive loop            {naive_time:8.3f} s")
    print(f"ours, float32         {exact_time:8.3f} s   {naive_time / exact_time:.2f} x as fast")
    print(f"largest difference of log-probabilities {float((naive - exact).abs().max()):.2e}")
    if device.type == "cuda":
        half_time, half = seconds(lambda: sliding_window_log_probs(network, image), device, arguments.repeats)
        same = float((half.argmax(0) == naive.argmax(0)).float().mean())
        print(
            f"ours, half precision  {half_time:8.3f} s   {naive_time / half_time:.2f} x as fast, labels equal {same:.4f}"
        )


if __name__ == "__main__":
    main()
