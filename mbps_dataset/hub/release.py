"""What a release of a label set consists of: the files that go to the Hub, and nothing else of the folder.

    RECIPE/SPLIT-*.parquet   the rows; without the `image` column unless the licence allows images and they are asked for,
                             and without `preview` if none is wanted
    RECIPE/labelset.json     provenance, without paths of this machine, with a checksum of every Parquet file
    RECIPE/preview.png       colour label maps drawn from the Parquet files above, so no photo enters unless it is there
    RECIPE/README.md         the recipe's card; the repository's own README.md is merged in `mbps_dataset.hub.release_card`

Decisions (ours): a configuration is a recipe, a tag is a release of the whole repository. Labels keep their PNG bytes:
the Parquet files are copied column by column, never decoded. Copies are written the same way each time, so that an
interrupted push finds what it has uploaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Features

from mbps_dataset.errors import InputError, PublishError
from mbps_dataset.labelling.calibration import evenly_spaced
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import copy_columns, count_rows, read_rows_at, read_schema
from mbps_dataset.labelset.public_document import public_document
from mbps_dataset.records import decode
from mbps_dataset.report.pictures import contact_sheet, panels
from mbps_dataset.scoring.quality_table import quality_table
from mbps_dataset.store import file_digest, replacing


PREVIEW_IMAGES = 4
PREVIEW_WIDTH = 320


@dataclass(frozen=True)
class ReleaseFile:
    """A file of the release: its path in the repository and its content, on disk or in memory."""

    path: str
    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def from_content(cls, path: str, content: Path | bytes) -> ReleaseFile:
        """Measure and hash `content`."""
        if isinstance(content, bytes):
            return cls(path, content, len(content), hashlib.sha256(content).hexdigest())
        return cls(path, content, content.stat().st_size, file_digest(content))


@dataclass(frozen=True)
class Release:
    """One recipe's part of a release, ready to send.

    `identity` names what made the labels, `digest` the Parquet files themselves; `quality` is a Markdown table or None.
    """

    recipe: str
    tag: str
    version: str
    identity: str
    digest: str
    with_images: bool
    files: tuple[ReleaseFile, ...]
    document: Mapping[str, Any]
    quality: str | None


def prepare(
    built: LabelSetFolder, tag: str, scratch: Path, *, with_images: bool = False, with_preview: bool = True
) -> Release:
    """Gather a release; copies without images, or without the column `preview`, are written to `scratch`.

    Raises `PublishError` if the set is unfinished or damaged, if its recipe's name cannot name a folder, or if images
    are asked for that may not be redistributed; `StoreError` if `scratch` cannot be written.
    """
    recipe = _recipe_name(built)
    data = _finished_files(built)
    if with_images:
        check_images_may_be_shown(built, [path for paths in data.values() for path in paths])
    dropped = [name for name, kept in (("image", with_images), ("preview", with_preview)) if not kept]
    local = {split: [_publishable(path, scratch, dropped) for path in paths] for split, paths in data.items()}
    rows = [ReleaseFile.from_content(f"{recipe}/{path.name}", path) for paths in local.values() for path in paths]
    digest = hashlib.sha256("".join(f"{f.sha256}  {Path(f.path).name}\n" for f in rows).encode()).hexdigest()
    version = release_version(tag, built.document["package_version"])
    document = public_document(built.document)
    document.pop("files", None)  # of the files here, with images; those of the release follow
    document["release"] = {
        "tag": tag,
        "version": version,
        "digest": digest,
        "images": with_images,
        "preview": all("preview" in read_schema(path).names for paths in local.values() for path in paths),
        "files": {Path(file.path).name: {"sha256": file.sha256, "bytes": file.size} for file in rows},
    }
    labelset = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    files = (
        *rows,
        ReleaseFile.from_content(f"{recipe}/labelset.json", labelset),
        ReleaseFile.from_content(f"{recipe}/preview.png", draw_preview(built, next(iter(local.values())))),
    )
    identity, quality = built.document["identity"], quality_table(built)
    return Release(recipe, tag, version, identity, digest, with_images, files, document, quality)


def release_version(tag: str, otherwise: str) -> str:
    """The three numbers of a tag like ``v1.2.0``, which `datasets` reads as a version; else `otherwise`.

    >>> release_version("v1.2.0", "0.1.0"), release_version("camera-ready", "0.1.0")
    ('1.2.0', '0.1.0')
    """
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)", tag)
    return match.group(1) if match else otherwise


def check_images_may_be_shown(built: LabelSetFolder, files: Sequence[Path]) -> None:
    """Raises `PublishError` with the reason unless the images are there and their licence allows redistribution."""
    without = [path for path in files if "image" not in read_schema(path).names]
    if without:
        raise PublishError(
            f"{built.root} was built without images; push labels only, or build it again with "
            "--set output.with_images=true."
        )
    try:
        source = built.open_source()
    except InputError as error:
        raise PublishError(
            f"The licence of the images cannot be checked: {error} Push without --with-images."
        ) from error
    if not source.licence_allows_images():
        raise PublishError(f"{_image_rights(source.name)} Push without --with-images; "
                           "users join their own copy with mbps_dataset.attach_images(ds, data_dir).")  # fmt: skip


def _image_rights(source: str) -> str:
    if source == "cityscapes":
        return "The licence of Cityscapes does not allow its images to be redistributed."
    return f"The source '{source}' does not say that its images may be redistributed, so they stay here."


def _recipe_name(built: LabelSetFolder) -> str:
    name = built.document["recipe"]["name"]
    if name == "data":
        raise PublishError(
            "The recipe's name 'data' cannot name a configuration on the Hub, which has a folder of that name; build with "
            "a recipe of another name."
        )
    return name


def _finished_files(built: LabelSetFolder) -> dict[str, list[Path]]:
    """Parquet files of every split that has rows. Raises `PublishError` if they are not what labelset.json counts."""
    found: dict[str, list[Path]] = {}
    for split in built.splits:
        try:
            rows = built.row_count(split)
        except InputError as error:
            raise PublishError(str(error)) from error
        if rows:
            found[split] = built.files(split)
    if not found:
        raise PublishError(f"{built.root} has no rows; there is nothing to release.")
    return found


def _publishable(path: Path, scratch: Path, dropped: Collection[str]) -> Path:
    """The file itself if it has none of the columns `dropped`, or a copy without them."""
    if not set(dropped) & set(read_schema(path).names):
        return path
    target = scratch / path.name
    write_without(dropped, path, target)
    return target


def write_without(dropped: Collection[str], source: Path, target: Path) -> None:
    """Copy a Parquet file without the columns `dropped`: same rows, row groups and bytes of every label.

    The photos are not even read. One row group is in memory at a time. Raises `StoreError` if the disk is full.
    """
    columns = Features.from_arrow_schema(read_schema(source))
    for name in set(dropped) & set(columns):
        del columns[name]
    with replacing(target) as temporary:
        copy_columns(source, temporary, columns.arrow_schema)


def draw_preview(built: LabelSetFolder, files: Sequence[Path]) -> bytes:
    """PNG of a contact sheet of a few rows of `files`, in colour; with photos only if `files` hold them."""
    calibration = built.calibration
    pictures, names = [], []
    for row in map(decode, read_rows_at(files, evenly_spaced(count_rows(files), PREVIEW_IMAGES))):
        drawn = panels(row, None, calibration.palette(), calibration.void)
        if row.image is None:
            del drawn["photo"]
        pictures.append(drawn)
        names.append(row.image_id)
    buffer = io.BytesIO()
    contact_sheet(pictures, names, width=PREVIEW_WIDTH).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
