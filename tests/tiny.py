"""A label set so small that a build takes a fraction of a second: drawn weights, little pictures, depth from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource
from mbps_dataset.store import Store
from tests.models.cause.cause_weights import tiny_network


def write_photographs(folder: Path, count: int, *, first: int = 0) -> None:
    """`count` colourful 96x64 PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        small = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC).save(folder / f"photo_{number:03d}.png")


def write_depth(folder: Path, image_ids: list[str]) -> None:
    """A made-up depth file per image: two planes with an edge."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image_id in enumerate(image_ids):
        depth = np.linspace(40, 5, 64, dtype=np.float32)[:, None].repeat(96, axis=1)
        depth[20:50, 10 + 3 * (number % 9) :][:, :30] = 4.0
        np.save(folder / f"{image_id}.npy", depth)


def tiny_settings(folder: Path, photographs: int = 6) -> list[str]:
    """Write weights, photographs and depth below `folder`; ``--set`` settings of the demo recipe that use them."""
    write_photographs(folder / "photos", photographs)
    write_depth(folder / "depth", [f"photo_{number:03d}" for number in range(photographs)])
    if not (folder / "weights").is_dir():
        tiny_network().save_pretrained(folder / "weights")
    return [
        f"semantics.weights={folder / 'weights'}",
        "semantics.short_side=70",
        "semantics.crop=70",
        "semantics.stride=70",
        "semantics.flip=false",
        "clusters.count=6",
        "crf.enabled=false",
        "depth.method=files",
        f"depth.files={folder / 'depth'}",
        "things.method=fixed",
        "things.ids=[0,1,2]",
        "instances.short_side=64",
        "instances.min_area=20",
        "fusion.min_stuff_area=20",
        "fusion.min_instance_area=20",
        "output.rows_per_shard=4",
    ]


def tiny_label_set(folder: Path, store: Path, settings: list[str], **changes) -> Labelling:
    """The label set of `tiny_settings`, with another store."""
    recipe = get_recipe("demo").with_settings(settings)
    return Labelling(recipe, FolderSource(folder / "photos"), Store(store), **changes)
