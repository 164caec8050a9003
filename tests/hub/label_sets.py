"""Small built label sets made by hand: the folder that `mbps build` writes, without running a network.

Photos are random in a range of reds that no label colour comes near, so that a test can look for their pixels.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.labelling.drawing import encode_preview
from mbps_dataset.labelset.document import count_segments
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import write_rows
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.records import LabelledImage, encode, features


HEIGHT, WIDTH = 48, 64
SPLITS = {"train": 3, "validation": 1}


def make_label_set(
    root: Path,
    *,
    recipe: str = "mbps",
    seed: int = 0,
    source: str = "folder",
    with_images: bool = True,
    with_preview: bool = True,
    rows_per_shard: int = 2,
) -> LabelSetFolder:
    """Write a label set of four images below `root`; another `seed` gives other labels of the same photos."""
    photos = root.parent / "photos"
    counts = {}
    for split, count in SPLITS.items():
        labelled = [_labelled(photos, split, k, seed) for k in range(count)]
        files = _write_shards(root, split, labelled, (with_images, with_preview), rows_per_shard)
        counts[split] = count_segments(files, taxonomy.NAMES_19)
    document = _document(recipe, seed, source, photos, counts)
    write_document(root / "labelset.json", document)
    return LabelSetFolder(root)


def photo(split: str, index: int) -> np.ndarray:
    """The photo of an image: uint8 [H, W, 3], red 200-255, green and blue 150-180."""
    generator = np.random.default_rng([len(split), index])
    red = generator.integers(200, 256, (HEIGHT, WIDTH, 1))
    return np.concatenate([red, generator.integers(150, 181, (HEIGHT, WIDTH, 2))], axis=2).astype(np.uint8)


def _labelled(photos: Path, split: str, index: int, seed: int) -> LabelledImage:
    image_id = f"{split}_{index}"
    buffer = io.BytesIO()
    Image.fromarray(photo(split, index)).save(buffer, "PNG")
    photos.mkdir(parents=True, exist_ok=True)
    (photos / f"{image_id}.png").write_bytes(buffer.getvalue())
    generator = np.random.default_rng([seed, len(split), index])
    semantic = np.zeros((HEIGHT, WIDTH), np.uint8)
    semantic[:12] = 10
    panoptic = np.where(semantic == 10, 2, 1).astype(np.uint16)
    top, left = (int(n) for n in generator.integers(14, 30, 2))
    semantic[top : top + 12, left : left + 16] = 13
    panoptic[top : top + 12, left : left + 16] = 3
    segments = [
        {"id": k, "category_id": category, "isthing": k == 3, "area": int((panoptic == k).sum()), "score": 0.5,
         "bbox": (left, top, 16, 12) if k == 3 else (0, 0, WIDTH, HEIGHT)}
        for k, category in ((1, 0), (2, 10), (3, 13))
    ]  # fmt: skip
    depth = generator.uniform(2, 60, (HEIGHT, WIDTH)).astype(np.float32)
    instance = (panoptic == 3).astype(np.uint16)
    return LabelledImage(image_id, buffer.getvalue(), semantic, depth, instance, panoptic, segments)


def _write_shards(
    root: Path, split: str, labelled: list[LabelledImage], held: tuple[bool, bool], rows_per_shard: int
) -> list[Path]:
    with_images, with_preview = held
    columns = features(taxonomy.NAMES_19, with_image=with_images, with_preview=with_preview)
    palette = taxonomy.class_palette(taxonomy.CLASSES_19)
    rows = [encode(image, 19, palette, with_image=with_images) for image in labelled]
    for row, image in zip(rows, labelled if with_preview else ()):
        preview = encode_preview(image.panoptic, image.segments, image.depth, palette)
        row["preview"] = {"bytes": preview, "path": None}
    parts = [rows[k : k + rows_per_shard] for k in range(0, len(rows), rows_per_shard)]
    files = []
    for index, part in enumerate(parts):
        path = root / "data" / f"{split}-{index:05d}-of-{len(parts):05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, part, columns.arrow_schema)
        files.append(path)
    return files


def _document(recipe: str, seed: int, source: str, photos: Path, counts: dict) -> dict:
    chosen = replace(RECIPES[recipe], name=recipe)
    classes = tuple(ClassStatistics(name, k == 13, 0.25, 0.05) for k, name in enumerate(taxonomy.NAMES_19))
    truth_used = ("names of the pseudo-classes",)
    calibration = Calibration(classes, tuple(range(19)), sum(SPLITS.values()), truth_used)
    opened = {"name": "scenes", "train": 3, "validation": 1, "height": 48, "width": 64}
    if source != "scenes":
        opened = {"name": source, "data_dir": str(photos.resolve()), "truth_dir": None}
    return {
        "format_version": "1.0.0",
        "package_version": "0.1.0",
        "identity": f"{seed:02d}" + chosen.digest()[2:],
        "recipe": chosen.to_json(),
        "source": opened,
        "splits": list(SPLITS),
        "limit": None,
        "digests": {"recipe": chosen.digest(), "input": "0" * 64, "weights": {"cause": "1" * 64}, "code": {}},
        "supervision": dict(chosen.supervision),
        "ground_truth_used": list(truth_used),
        "calibration": calibration.to_json(),
        "counts": counts,
        "failures": [{"image_id": "x", "stage": "read", "reason": f"{photos.resolve()}/x.png: truncated"}],
    }
