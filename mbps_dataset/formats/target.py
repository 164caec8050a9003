"""A folder that appears whole or not at all.

Everything is written to a hidden folder beside the target, which is renamed at the end: whoever finds the target finds
all of it. After an error or Ctrl-C the hidden folder is removed; after a kill it stays, never looks like an export, and
the next export to the same target removes it unless its process still runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.errors import InputError, StoreError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `target` when the block ends without an error.

    Raises `InputError` if `target` is a file or holds anything, `StoreError` if it cannot be written.
    """
    target = target.expanduser().absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder; choose another target.")
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; an export never writes over files. Choose another target.")
    partial = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        partial.mkdir()
        try:
            yield partial
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{target}: cannot be written ({reason}); nothing was left there. Free some space or choose "
                         "another target, and run the same command again.") from error  # fmt: skip


def _remove_abandoned(target: Path) -> None:
    """Remove what killed exports of this machine to the same target left."""
    name = re.compile(rf"\.{re.escape(target.name)}\.{re.escape(socket.gethostname())}\.(\d+)\.partial")
    for path in target.parent.iterdir():
        match = name.fullmatch(path.name)
        if match and not _is_running(int(match.group(1))):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def save_png(path: Path, array: NDArray[np.integer]) -> None:
    """PNG of uint8 or uint16 [H, W], or of uint8 [H, W, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, "PNG", compress_level=6)


def save_segment_ids(path: Path, ids: NDArray[np.integer]) -> None:
    """COCO's panoptic PNG of segment ids [H, W] below 2^24: ``id = R + 256 G + 65536 B``."""
    ids = ids.astype(np.uint32)
    save_png(path, np.stack([ids & 255, (ids >> 8) & 255, ids >> 16], axis=-1).astype(np.uint8))


class CocoFile:
    """A COCO JSON written as it comes: the annotations of one image in memory, and a short entry per image."""

    def __init__(self, path: Path, categories: list[dict[str, Any]], info: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._categories, self._info = categories, info
        self._images: list[dict[str, Any]] = []
        self._begun = False

    def add(self, image: dict[str, Any], *annotations: dict[str, Any]) -> None:
        """Write the annotations of an image and remember it."""
        for annotation in annotations:
            self._file.write(",\n" if self._begun else '{"annotations": [\n')
            self._file.write(json.dumps(annotation, ensure_ascii=False))
            self._begun = True
        self._images.append(image)

    def close(self) -> None:
        """Write images and categories and close the file."""
        if not self._begun:
            self._file.write('{"annotations": [')
        rest = {"images": self._images, "categories": self._categories, "info": dict(self._info)}
        self._file.write("\n], " + json.dumps(rest, ensure_ascii=False)[1:] + "\n")
        self._file.close()
