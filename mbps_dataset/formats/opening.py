"""Opening the label set to export: a folder that `mbps build` wrote, a release of it on disk, or one on the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description, LabelRow
from mbps_dataset.formats.image_segmentation import read_map
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import read_rows, read_schema
from mbps_dataset.labelset.public_document import public_document


_COLUMNS = ["image_id", "semantic", "panoptic", "segments_info"]


@dataclass(frozen=True)
class ReleasedFolder(LabelSetFolder):
    """A recipe's folder of a release: Parquet files beside ``labelset.json``."""

    def files(self, split: str) -> list[Path]:
        """Parquet files of a split, in order. Raises `InputError` for an unknown split."""
        if split not in self.splits:
            raise InputError(f"{self.root}: no split {split!r}; there is {', '.join(self.splits)}.")
        return sorted(self.root.glob(f"{split}-*.parquet"))


def open_label_set(reference: str, *, recipe: str | None = None, revision: str | None = None) -> LabelSetFolder:
    """The label set at a folder, or of a Hub dataset ``owner/name``; a folder of that name wins.

    `recipe` chooses among the recipes of a release, `revision` a tag or branch of the Hub. Raises `InputError` saying
    what there is instead, `PublishError` if the Hub cannot be reached.
    """
    path = Path(reference).expanduser()
    if path.exists():
        if revision is not None:
            raise InputError(f"{path} is a folder, which has no revision {revision!r}; leave out --revision.")
        return _open_folder(path, recipe)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}", reference):
        return _open_folder(_download(reference, recipe, revision), recipe)
    raise InputError(f"{reference} does not exist; give a folder written by `mbps build`, or OWNER/NAME on the Hub.")


def _open_folder(path: Path, recipe: str | None) -> LabelSetFolder:
    if (path / "labelset.json").is_file():
        built = LabelSetFolder(path) if (path / "data").is_dir() else ReleasedFolder(path)
        if recipe not in (None, own := built.document["recipe"]["name"]):
            raise InputError(f"{path} is of the recipe {own}, not {recipe}; leave out --recipe.")
        return built
    found = sorted(p.parent.name for p in path.glob("*/labelset.json"))
    if not found:
        return LabelSetFolder(path)  # raises, saying what is expected
    return ReleasedFolder(path / _chosen(found, recipe, str(path)))


def _chosen(found: list[str], recipe: str | None, where: str) -> str:
    if recipe is None and len(found) == 1:
        return found[0]
    if recipe not in found:
        raise InputError(f"{where} holds the recipes {', '.join(found)}; choose one of them with --recipe.")
    return recipe


def _download(repo_id: str, recipe: str | None, revision: str | None) -> Path:
    """Fetch one recipe of a release into the cache of `huggingface_hub`; what is there is not fetched again."""
    from huggingface_hub import HfApi, snapshot_download

    from mbps_dataset.reading.hub_errors import persistently

    what = f"Cannot read {repo_id}" + (f" at {revision}" if revision else "")
    info = persistently(lambda: HfApi().dataset_info(repo_id, revision=revision), what, attempts=3)
    names = [file.rfilename for file in info.siblings or ()]
    found = sorted(name.split("/")[0] for name in names if re.fullmatch(r"[^/]+/labelset\.json", name))
    if not found:
        raise InputError(f"{repo_id} was not pushed by `mbps push`: no recipe of it has a labelset.json.")
    chosen = _chosen(found, recipe, repo_id)
    return Path(
        persistently(
            lambda: snapshot_download(
                repo_id,
                repo_type="dataset",
                revision=info.sha,
                allow_patterns=[f"{chosen}/*.parquet", f"{chosen}/labelset.json"],
            ),
            what,
        )
    )


def describe(built: LabelSetFolder, format_name: str) -> Description:
    """What an export of `built` says about itself, splits left empty."""
    calibration, document = built.calibration, built.document
    origin = {key: document[key] for key in ("identity", "package_version", "ground_truth_used", "supervision")}
    return Description(
        format=format_name,
        class_names=calibration.class_names,
        things=calibration.things,
        named=calibration.cluster_to_class is not None,
        void=calibration.void,
        origin={
            "recipe": document["recipe"]["name"],
            "source": document["source"]["name"],
            **origin,
            "labelset": public_document(document),
        },
    )


def label_rows(built: LabelSetFolder, split: str) -> Iterator[LabelRow]:
    """Labels of a split in order, one image in memory at a time; photos and depth are not read.

    Raises `InputError` for a damaged file.
    """
    for path in built.files(split):
        yield from map(_label_row, read_rows(path, _COLUMNS))


def _label_row(row: dict[str, Any]) -> LabelRow:
    return LabelRow(
        image_id=row["image_id"],
        semantic_png=row["semantic"]["bytes"],
        semantic=read_map(row["semantic"], row["image_id"]),
        panoptic=read_map(row["panoptic"], row["image_id"]).astype(np.int32),
        segments=row["segments_info"],
    )


def image_files(built: LabelSetFolder, split: str) -> Iterator[bytes] | None:
    """Bytes of the images of a split in order, or None if the set holds none."""
    files = built.files(split)
    if not all("image" in read_schema(path).names for path in files):
        return None
    return (row["image"]["bytes"] for path in files for row in read_rows(path, ["image"]))
