"""What a build costs beyond its networks, and how large it is; everything measured in one run.

    python -m tests.benchmarks.bench_label_set --images 8 --height 512 --width 1024

Processor time (user and system, so that a busy machine does not matter) of

* the bare pipeline: every stage, instances, fusion and PNG coding of every image, in a loop without builder and Parquet;
* a first build of the same images into an empty folder, by this process, and what it adds to the bare pipeline;
* the same build again, when it is finished, as a share of the first; and once more with the store deleted;

and bytes a row of labels, peak memory, and how much the store keeps. The networks are the demo's, the smallest there
are: with those of the published recipes every share gets smaller.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import torch

from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage_row import label
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import encode
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.store import Store


TARGETS = {"again": 0.03, "added": 0.05, "bytes": 600_000}


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of this process during `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


def write_images(folder: Path, images: int, height: int, width: int) -> None:
    """Rendered scenes as PNG files."""
    folder.mkdir()
    for frame in ScenesSource(images, 0, height, width).frames("train"):
        (folder / f"{frame.image_id}.png").write_bytes(frame.image_bytes())


def bare_pipeline(images: Path, store: Path, calibration_from: Labelling) -> None:
    """Label and encode every image, one after the other; nothing but the stages' own store is written."""
    label_set = Labelling(calibration_from.recipe, FolderSource(images), Store(store))
    run = label_set.calibrated_run(isolate=False)
    calibration = run.calibration
    for frame in label_set.frames("train"):
        labelled = replace(label(run.visit(frame)), image=frame.image_bytes())
        encode(labelled, len(calibration.classes), calibration.palette(), with_image=True)


def label_bytes(built: LabelSetFolder) -> float:
    """Mean bytes of the label columns of a row, as they lie in the Parquet files."""
    total = rows = 0
    for path in built.files("train"):
        metadata = parquet.read_metadata(path)
        rows += metadata.num_rows
        for group in range(metadata.num_row_groups):
            columns = (metadata.row_group(group).column(k) for k in range(metadata.num_columns))
            total += sum(c.total_compressed_size for c in columns if not c.path_in_schema.startswith("image."))
    return total / rows


def verdict(value: float, target: str) -> str:
    return "reached" if value < TARGETS[target] else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="STAGE.SETTING=VALUE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        measure(
            Path(scratch), given.images, given.height, given.width, get_recipe("demo").with_settings(given.settings)
        )


def measure(scratch: Path, images: int, height: int, width: int, recipe: Recipe) -> None:
    """Take and print every number."""
    write_images(scratch / "images", images, height, width)

    def label_set(output: Path) -> Labelling:
        return Labelling(recipe, FolderSource(scratch / "images"), Store(output / "stages"))

    def make(output: Path) -> None:
        build(label_set(output), output, workers=1, progress=False)

    write_images(scratch / "one", 1, height, width)  # what is loaded once must not count for whoever comes first
    warm = Labelling(recipe, FolderSource(scratch / "one"), Store(scratch / "warm/stages"))
    build(warm, scratch / "warm", workers=1, progress=False)

    bare = processor_seconds(lambda: bare_pipeline(scratch / "images", scratch / "bare", warm))
    first = processor_seconds(lambda: make(scratch / "set"))
    again = processor_seconds(lambda: make(scratch / "set"))
    stored = sum(path.stat().st_size for path in (scratch / "set/stages").rglob("*.bin"))
    shutil.rmtree(scratch / "set/stages")
    without_store = processor_seconds(lambda: make(scratch / "set"))
    size = label_bytes(LabelSetFolder(scratch / "set"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

    added = first / bare - 1
    print(f"{images} images of {height}x{width}, processor time")
    print(f"bare pipeline                {bare:8.2f} s   {bare / images:.3f} s an image")
    print(
        f"first build                  {first:8.2f} s   {100 * added:+.1f} % (target < 5 %: {verdict(added, 'added')})"
    )
    print(f"finished build again         {again:8.2f} s   {100 * again / first:.2f} % of the first "
          f"(target < 3 %: {verdict(again / first, 'again')})")  # fmt: skip
    print(f"again without its store      {without_store:8.2f} s   {100 * without_store / first:.2f} %")
    print(f"labels                       {size / 1e6:8.3f} MB a row (target < 0.6 MB: {verdict(size, 'bytes')})")
    print(f"store                        {stored / images / 1e6:8.3f} MB an image\npeak memory {peak:25.0f} MB")


if __name__ == "__main__":
    main()
