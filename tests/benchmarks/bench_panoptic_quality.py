"""Panoptic quality of one pair at 1024 x 2048 with 67 true and 75 predicted segments: ours, peers and the floor.

    python -m tests.benchmarks.bench_panoptic_quality [--rounds 9] [--slow-rounds 2] [--evaluate-pairs 500]

Rounds are interleaved, so that other load on the machine meets everyone alike; medians of CPU time and wall time are
printed, and ratios of CPU time. The floor is reading both int32 id maps (16.8 MB) once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.formats.label_source import pairs
from mbps_dataset.formats.segmentation_sets import open_pair
from mbps_dataset.metrics import PanopticQuality
from tests.metrics import golden


EVALUATE_MODULE = str(Path(__file__).parents[2] / "eval" / "hungarian_pq")


def scene() -> dict[str, np.ndarray]:
    """The four maps in class ids, as a reader of PNG files would hand them over."""
    loaded = golden.load("15_full_1024x2048")
    image = loaded.images[0]
    classes = np.full(256, 255, np.uint8)
    for pseudo, target in enumerate(loaded.expected["matching"]["assignment"]):
        classes[pseudo] = target
    return {
        "pred_semantic": classes[image["pred_semantic"]],
        "pred_instance": image["pred_instance"],
        "true_semantic": image["true_semantic"],
        "true_instance": image["true_instance"],
    }


def ours(maps: dict[str, np.ndarray]) -> float:
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19)
    metric.update(**maps)
    return metric.compute().pq


def ours_from_files(folder: Path) -> float:
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19)
    for image_id, prediction, truth in pairs(*open_pair(folder / "pred.json", folder / "gt.json")):
        metric.update(**prediction.as_prediction(), **truth.as_truth(), image_id=image_id)
    return metric.compute().pq


def write_coco(maps: dict[str, np.ndarray], folder: Path) -> list[dict]:
    """Both sides as COCO panoptic files; returns the categories."""
    categories = [{"id": c.train_id, "name": c.name, "isthing": int(c.is_thing)} for c in taxonomy.CLASSES_19]
    for side, prefix in (("gt", "true"), ("pred", "pred")):
        semantic, instance = (maps[f"{prefix}_{kind}"].astype(np.int64) for kind in ("semantic", "instance"))
        key = np.where(semantic == 255, 0, 1 + semantic * 1000 + np.where(semantic >= 11, instance, 0))
        present, ids = np.unique(key, return_inverse=True)
        ids = ids.reshape(key.shape) + (present[0] != 0)
        segments = [
            {"id": int(n + (present[0] != 0)), "category_id": int((k - 1) // 1000), "iscrowd": 0,
             "area": int((key == k).sum())}
            for n, k in enumerate(present) if k
        ]  # fmt: skip
        (folder / side).mkdir()
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(rgb).save(folder / side / "0.png")
        annotation = {"image_id": "0", "file_name": "0.png", "segments_info": segments}
        (folder / f"{side}.json").write_text(json.dumps({"annotations": [annotation], "categories": categories}))
    return categories


def cityscapes_scripts(folder: Path, categories: list[dict]) -> Callable[[], float]:
    from cityscapesscripts.evaluation import evalPanopticSemanticLabeling as evaluator

    sides = [json.loads((folder / f"{side}.json").read_text())["annotations"][0] for side in ("gt", "pred")]
    by_id = {category["id"]: category for category in categories}

    def run() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            stat = evaluator.pq_compute_single_core(0, [tuple(sides)], str(folder / "gt"), str(folder / "pred"), by_id)
            return stat.pq_average(by_id, isthing=None)[0]["pq"]

    return run


def torchmetrics_quality(maps: dict[str, np.ndarray]) -> Callable[[], float]:
    import torch
    from torchmetrics.detection import PanopticQuality as Peer

    torch.set_num_threads(1)
    tensors = [
        torch.from_numpy(np.stack([maps[f"{side}_semantic"], maps[f"{side}_instance"]], axis=-1).astype(np.int64))[
            None
        ]
        for side in ("pred", "true")
    ]

    def run() -> float:
        peer = Peer(set(taxonomy.THINGS_19), set(taxonomy.STUFF_19), allow_unknown_preds_category=True)
        peer.update(*tensors)
        return peer.compute().item()

    return run


def floor(maps: dict[str, np.ndarray]) -> Callable[[], float]:
    ids = [
        (maps[f"{side}_semantic"].astype(np.int32) * 1000 + maps[f"{side}_instance"]).view(np.int64)
        for side in ("pred", "true")
    ]
    return lambda: float(sum(int(np.bitwise_or.reduce(m, axis=None)) for m in ids))


def measure(runs: dict[str, Callable[[], float]], slow: set[str], rounds: int, slow_rounds: int) -> dict[str, tuple]:
    """Medians (CPU s, wall s) over interleaved rounds, and the value each returned."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    values = {name: run() for name, run in runs.items() if name not in slow}
    for number in range(rounds):
        for name, run in runs.items():
            if name in slow and number >= slow_rounds:
                continue
            cpu, wall = time.process_time(), time.perf_counter()
            values[name] = run()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: (statistics.median(t[0] for t in taken), statistics.median(t[1] for t in taken), values[name])
        for name, taken in times.items()
    }


def extra_memory_mb(run: Callable[[], float]) -> float:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def through_evaluate(maps: dict[str, np.ndarray], count: int, cache: str) -> None:
    import evaluate

    metric = evaluate.load(EVALUATE_MODULE, cache_dir=cache)
    prediction = (maps["pred_semantic"], maps["pred_instance"])
    truth = (maps["true_semantic"], maps["true_instance"])

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    cpu, start = time.process_time(), peak()
    for number in range(count):
        metric.add(prediction=prediction, reference=truth, image_id=str(number))
        if number in (9, count - 1):
            print(f"  after {number + 1:4d} pairs: peak memory {peak():7.1f} MB ({peak() - start:+.1f})")
    result = metric.compute()
    print(f"  computed: PQ {100 * result['pq']:.4f}, peak {peak():.1f} MB ({peak() - start:+.1f}), "
          f"{1000 * (time.process_time() - cpu) / count:.1f} ms CPU per pair")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slow-rounds", type=int, default=2, help="rounds of torchmetrics; 0 leaves it out")
    parser.add_argument("--evaluate-pairs", type=int, default=500)
    arguments = parser.parse_args()
    maps = scene()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.evaluate_pairs:  # first: a peer that takes 800 MB would hide what this takes
            print(f"{arguments.evaluate_pairs} pairs through evaluate:")
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            through_evaluate(maps, arguments.evaluate_pairs, folder)
        categories = write_coco(maps, Path(folder))
        runs = {
            "floor: both id maps read once": floor(maps),
            "ours, four maps -> every number": lambda: ours(maps),
            "ours, with PNG decoding": lambda: ours_from_files(Path(folder)),
            "cityscapesScripts (decodes PNG)": cityscapes_scripts(Path(folder), categories),
        }
        slow = set()
        if arguments.slow_rounds:
            slow = {"torchmetrics"}
            runs["torchmetrics"] = torchmetrics_quality(maps)
        measured = measure(runs, slow, arguments.rounds, arguments.slow_rounds)
        reference = measured["ours, four maps -> every number"]
        print(f"{'':34}{'CPU ms':>10}{'wall ms':>10}{'CPU / ours':>12}   PQ")
        for name, (cpu, wall, value) in measured.items():
            shown = "" if name.startswith("floor") else f"{100 * value:.4f}"
            print(f"{name:34}{1000 * cpu:10.2f}{1000 * wall:10.2f}{cpu / reference[0]:12.2f}   {shown}")
        print(f"ours / floor: {reference[0] / measured['floor: both id maps read once'][0]:.1f} (CPU)")
        print(f"extra memory of ours: {extra_memory_mb(lambda: ours(maps)):.1f} MB")


if __name__ == "__main__":
    main()
