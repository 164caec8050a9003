"""How long an export takes and how large it is, beside reading the same labels and doing nothing with them.

python -m tests.benchmarks.bench_exports build/demo
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from mbps_dataset.formats.layouts import FORMATS
from mbps_dataset.formats.opening import label_rows
from mbps_dataset.formats.segmentation_sets import open_labels
from mbps_dataset.formats.writing import export
from mbps_dataset.labelset.folder import LabelSetFolder


def main() -> None:
    """Print processor time and size per image for every format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", type=Path)
    built = LabelSetFolder(parser.parse_args().label_set)
    start = time.process_time()
    shapes = [row.panoptic.shape for split in built.splits for row in label_rows(built, split)]
    floor = (time.process_time() - start) / len(shapes)
    print(f"{len(shapes)} images of {shapes[0][0]}x{shapes[0][1]}; reading alone {1000 * floor:.0f} ms an image")
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "out"
            start = time.process_time()
            export(built, target, name)
            written = (time.process_time() - start) / len(shapes)
            start = time.process_time()
            for labels in open_labels(target).values():
                labels.semantic.max()
            read = (time.process_time() - start) / len(shapes)
            size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / len(shapes)
        print(f"{name:14} export {1000 * written:4.0f} ms, {written / floor:4.1f} times reading; {size / 1000:5.0f} kB; "
              f"reading back {1000 * read:4.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
