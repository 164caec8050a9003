"""Random label sets on disk for exports: any number of classes, named or not, with void, in two splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.labelset.document import count_segments
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import write_rows
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.records import LabelledImage, encode, features
from mbps_dataset.stages.fusion import fuse
from mbps_dataset.stages.instances.connected_components import connected_components


HEIGHT, WIDTH = 40, 64
IDS = {"train": ("ulm_000000_000019", "a/b c", "ünï_1"), "validation": ("frankfurt_000001_000294",)}


def random_label_set(
    root: Path,
    *,
    classes: int = 19,
    named: bool = True,
    things: Sequence[int] | None = None,
    ids: dict[str, tuple[str, ...]] | None = None,
    seed: int = 0,
) -> LabelSetFolder:
    """Blocks of random classes with holes of void, fused as the pipeline does; every thing block is an instance."""
    names = taxonomy.NAMES_19 if named else tuple(f"pseudo-class {k}" for k in range(classes))
    things = tuple(taxonomy.THINGS_19 if named else range(0, classes, 3)) if things is None else tuple(things)
    ids = ids or IDS
    chosen = set(things)
    statistics = tuple(ClassStatistics(name, k in chosen, None, None) for k, name in enumerate(names))
    calibration = Calibration(statistics, tuple(range(classes)) if named else None, 4, ())
    counts = {}
    for split, split_ids in ids.items():
        labelled = [
            _labelled(image_id, classes, things, calibration.void, [seed, k]) for k, image_id in enumerate(split_ids)
        ]
        path = root / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [encode(image, classes, calibration.palette(), with_image=False) for image in labelled]
        schema = features(names, with_image=False).arrow_schema
        write_rows(path, rows, schema)
        counts[split] = count_segments([path], names)
    document = {
        "format_version": "1.0.0", "package_version": "0.1.0", "identity": f"{seed:064x}", "splits": list(ids),
        "recipe": RECIPES["mbps" if named else "demo"].to_json(), "source": {"name": "folder"}, "counts": counts,
        "supervision": {}, "ground_truth_used": [], "limit": None,
        "digests": {"recipe": "1" * 64, "input": "2" * 64, "weights": {}, "code": {}}, "calibration": calibration.to_json(), "failures": [],
    }  # fmt: skip
    write_document(root / "labelset.json", document)
    return LabelSetFolder(root)


def _labelled(image_id: str, classes: int, things: Sequence[int], void: int, seed: list[int]) -> LabelledImage:
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, classes, (HEIGHT // 8, WIDTH // 8))
    blocks[0, 0], blocks[0, 1], blocks[1, 0], blocks[1, 1] = classes - 1, things[0], things[0], classes - 1
    semantic = np.kron(blocks, np.ones((8, 8), int)).astype(np.uint8 if void == 255 else np.uint16)
    semantic[10:14, 20:40] = void
    semantic[30, 3] = (semantic[30, 3] + 1) % classes  # one pixel, which fusion leaves to void
    instances = connected_components(semantic, None, things, min_area=10)
    instances = instances.replace(scores=generator.uniform(0.2, 1, len(instances)))
    panoptic = fuse(semantic, instances, things)
    segments = [
        {"id": s.id, "category_id": int(s.class_id), "isthing": bool(s.isthing), "area": int(s.area),
         "bbox": [int(v) for v in s.bbox], "score": float(s.score)}
        for s in panoptic.segments
    ]  # fmt: skip
    depth = generator.uniform(2, 60, semantic.shape).astype(np.float32)
    return LabelledImage(image_id, None, semantic, depth, panoptic.instance(), panoptic.segment_map, segments)


def photographs(
    root: Path, ids: dict[str, tuple[str, ...]] | None = None, *, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """A PNG of noise below `root` for every image id of a random label set."""
    for number, image_id in enumerate(image_id for split_ids in (ids or IDS).values() for image_id in split_ids):
        path = root / f"{image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root
