"""Mapillary Vistas (Neuhold et al., ICCV 2017), versions 1.2 and 2.0.

``{training,validation,testing}/images/{name}.jpg`` and ``instances/{name}.png`` of 16 bits, ``256 * class + object``: of version 2.0
in ``{split}/v2.0/instances``, of 1.2 there or, in its own package, in ``{split}/instances``. Classes are numbered by
``config_v2.0.json``, ``config_v1.2.json`` or ``config.json``, whose names lead to Cityscapes' (`vistas_classes`).

Decisions: the newest version that is there is read, unless the option `version` names one; every number of a thing class is an
object, the number 0 too, but "person group" is a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.files import read_map
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource
from mbps_dataset.sources.vistas_classes import GROUP, VISTAS


_VERSIONS = {"2.0": ("config_v2.0.json", "v2.0"), "1.2": ("config_v1.2.json", "v1.2"), "": ("config.json", "")}
"""File of the classes, and folder of the labels in a split."""


class VistasSource(LabelledSource):
    """Images of Mapillary Vistas at `data_dir`; `version` is "2.0" or "1.2", empty for the newest there."""

    name = "vistas"
    layout = "training/images and config_v2.0.json, config_v1.2.json or config.json (Mapillary Vistas)"

    def __init__(self, data_dir: str | Path, version: str = "") -> None:
        if version not in ("", "2.0", "1.2"):
            raise InputError(f"version is {version!r}; Mapillary Vistas has 2.0 and 1.2.")
        self._asked, self._groups = version, frozenset[int]()
        super().__init__(data_dir)

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        wanted = {"": _VERSIONS, "1.2": ("1.2", ""), "2.0": ("2.0",)}[self._asked]
        config, below = next(
            ((file, folder) for file, folder in map(_VERSIONS.get, wanted) if (self.root / file).is_file()),  # type: ignore[misc]
            ("", ""),
        )
        if not config:
            return
        self._read_classes(self.root / config)
        for folder in ("training", "validation", "testing"):
            for frame in self.frames_below(self.root / folder / "images", self.root / folder / below / "instances"):
                yield SPLITS[folder], frame

    def _read_classes(self, path: Path) -> None:
        try:
            names = [str(label["name"]) for label in read_json(path, most_bytes=10_000_000)["labels"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: cannot be read as the classes of Mapillary Vistas ({error}); copy it again."
            ) from None
        if unknown := [name for name in names if name not in VISTAS]:
            raise InputError(
                f"{path}: has the class {unknown[0]!r} ({len(unknown)} unknown); versions 2.0 and 1.2 are known."
            )
        self._table = ClassTable(path.name, {name: VISTAS[name] for name in names})
        self._groups = frozenset(number for number, name in enumerate(names) if name == GROUP)

    def read(self, frame: LabelledFrame) -> Truth:
        assert frame.label_path is not None
        numbers = read_map(frame.label_path).astype(np.int64)
        class_ids, objects = numbers >> 8, (numbers & 255) + 1
        objects[np.isin(class_ids, list(self._groups))] = 0
        return truth_of(self._table.label_ids(class_ids, str(frame.label_path)), objects, str(frame.label_path))

    def describe(self) -> dict[str, str]:
        return super().describe() | ({"version": self._asked} if self._asked else {})
