"""Scoring a built set: whole rows decoded and scenes rendered, as before, against two columns and truth alone.

    python -m tests.benchmarks.bench_evaluation [LABEL_SET] [--split validation] [--rounds 3]

Without LABEL_SET a demo set of 8 scenes is built first. Every round starts a fresh interpreter for either way, since
half of the plain way's time is imports; rounds alternate, so that other load on the machine meets both alike. Both must
give the same numbers. Printed are medians of processor time, imports included, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


PLAIN = """
import datasets, scipy.ndimage, torch  # as importing the package and its commands did
import json, resource, sys
from pathlib import Path
import pyarrow.parquet as parquet
import numpy as np
import mbps_dataset.scenes.textures
from mbps_dataset import scenes
from mbps_dataset.formats.image_segmentation import as_labels, cityscapes_labels
from mbps_dataset.formats.opening import describe
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.records import decode
from mbps_dataset import taxonomy

def fractal_noise(shape, slope, low, seed):  # the renderer's noise before it took half of the spectrum
    spectrum = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    grid = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij", sparse=True)
    frequency = np.sqrt(sum(axis**2 for axis in grid))
    weight = np.where(frequency >= low, np.maximum(frequency, 1e-6) ** -slope, 0.0)
    noise = np.fft.ifftn(spectrum * weight).real
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)

scenes.textures.fractal_noise = fractal_noise
built, split = LabelSetFolder(Path(sys.argv[1])), sys.argv[2]
about = describe(built, "parquet")
clusters = {} if about.named else {
    "pseudo_things": about.things,
    "pseudo_stuff": [k for k in range(len(about.class_names)) if k not in about.things],
    "pred_void": about.void,
    "matching": "hungarian",
}
metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, **clusters)
frames = {frame.image_id: frame for frame in built.open_source().frames(split)}
columns = ["image_id", "semantic", "depth", "depth_scale", "instance", "panoptic", "segments_info"]
for path in built.files(split):
    opened = parquet.ParquetFile(path)
    for group in range(opened.num_row_groups):
        for row in map(decode, opened.read_row_group(group, columns=columns).to_pylist()):
            frame = frames[row.image_id]
            if hasattr(frame, "seed"):
                truth = scenes.render(frame.seed, frame.settings)
            else:
                truth = frame.truth()
            true = cityscapes_labels(truth.label_ids, truth.instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, row.image_id)
            labels = as_labels(row, row.image_id, void=about.void)
            metric.update(**labels.as_prediction(), **true.as_truth(), image_id=row.image_id)
result = metric.compute().to_dict()
"""

OURS = """
import contextlib, io, json, resource, sys, tempfile
from pathlib import Path
from mbps_dataset.cli import main

with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    path = Path(folder) / "quality.json"
    assert main(["--quiet", "eval", sys.argv[1], "--split", sys.argv[2], "--json", str(path)]) == 0
    result = json.loads(path.read_text())
"""

MEASURE = """
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([usage.ru_utime + usage.ru_stime, result]))
"""


def run(way: str, label_set: Path, split: str) -> tuple[float, dict]:
    """Processor seconds of one way in a fresh interpreter, and what it found."""
    arguments = [sys.executable, "-c", way + MEASURE, str(label_set), split]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    seconds, result = json.loads(done.stdout)
    return seconds, result


def build_demo(folder: Path) -> Path:
    """A label set of 8 rendered scenes."""
    from mbps_dataset.labelling.labelling import Labelling
    from mbps_dataset.labelset.build import build
    from mbps_dataset.named_recipes import get_recipe
    from mbps_dataset.sources import ScenesSource
    from mbps_dataset.store import Store

    label_set = Labelling(get_recipe("demo"), ScenesSource(train=4, validation=8), Store(folder / "store"))
    build(label_set, folder / "set", progress=True)
    return folder / "set"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label_set", nargs="?", type=Path, metavar="LABEL_SET")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        label_set = given.label_set or build_demo(Path(folder))
        plain, ours = [], []
        for _ in range(given.rounds):
            seconds, expected = run(PLAIN, label_set, given.split)
            plain.append(seconds)
            seconds, found = run(OURS, label_set, given.split)
            ours.append(seconds)
            assert all(found[name] == value for name, value in expected.items()), "the two ways disagree"
    slow, fast = statistics.median(plain), statistics.median(ours)
    print(f"PQ {100 * found['pq']:.2f} on {found['images']} images, both ways")
    print(f"whole rows {slow:.2f} s, two columns {fast:.2f} s of processor time: {slow / fast:.1f} times less")


if __name__ == "__main__":
    main()
