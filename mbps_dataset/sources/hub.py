"""Any data set of images on the Hugging Face Hub, or a folder that `datasets.load_dataset` opens.

`data_dir` is ``org/name`` or a folder. Columns are named by options: `image`, and where there is truth `label` (a map of classes)
and `instance` (numbers of objects); `classes` says how `label` numbers them: "label-ids" are Cityscapes' 0-33, "train-ids" its 19.
`id` is a column that names the images, else they are numbered. `streaming` downloads rows when they are asked for and keeps none.

Decisions: bytes of images pass through as they are; streamed rows are asked for in order, and a step back starts the stream anew;
255, and 0 in label ids, is void.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_map, image_hw
from mbps_dataset.sources.class_table import ClassTable, truth_of
from mbps_dataset.sources.frame import Frame, Source, Truth
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.labelled import SPLITS


_CITYSCAPES = {c.name: c.name for c in taxonomy.CITYSCAPES}
TABLES = {
    "label-ids": ClassTable("Cityscapes' label ids", _CITYSCAPES | {"void": "unlabeled"}, ids=(*range(34), 255)),
    "train-ids": ClassTable("Cityscapes' train ids", {n: n for n in taxonomy.NAMES_19} | {"void": "unlabeled"},
                            ids=(*range(19), 255)),
}  # fmt: skip


class Rows:
    """Rows of a split by number, in memory one at a time; of a stream those ahead are cheap."""

    def __init__(self, data: Any, streaming: bool) -> None:
        self._data, self._streaming = data, streaming
        self._ahead: Iterator[Mapping[str, Any]] = iter(())
        self._next, self._held = 0, -1
        self._row: Mapping[str, Any] = {}

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        if self._held == row:
            return self._row
        if not self._streaming:
            self._row = self._data[row]
        else:
            if row < self._next or self._next == 0:
                self._ahead, self._next = iter(self._data), 0
            while self._next <= row:
                if (ahead := next(self._ahead, None)) is None:
                    raise InputError(
                        f"The stream ended at row {self._next}, before row {row} that was listed; open it again."
                    )
                self._row, self._next = ahead, self._next + 1
        self._held = row
        return self._row


@dataclass(frozen=True)
class HubFrame(Frame):
    """One row of a data set."""

    image_id: str
    row: int
    split: str
    source: HubSource = field(compare=False, repr=False)

    def image_bytes(self) -> bytes:
        return self._bytes(self.source.columns["image"])

    def digest(self) -> str:
        return hashlib.sha256(self.image_bytes()).hexdigest()

    @property
    def has_truth(self) -> bool:
        return "label" in self.source.columns

    def truth(self) -> Truth | None:
        if not self.has_truth:
            return None
        where = f"{self.source.data_dir}: {self.image_id}"
        label = decode_map(self._bytes(self.source.columns["label"]), where)
        label_ids = TABLES[self.source.classes].label_ids(label, where)
        if label_ids.shape != (size := image_hw(self.image_bytes(), where)):
            raise InputError(
                f"{where}: its label is {label_ids.shape} pixels and its image {size} (height, width); give both in one size."
            )
        objects = None
        if "instance" in self.source.columns:
            objects = decode_map(self._bytes(self.source.columns["instance"]), where)
        return truth_of(label_ids, objects, where)

    def _bytes(self, column: str) -> bytes:
        value = self.source.rows[self.split][self.row].get(column)
        if isinstance(value, Mapping) and value.get("bytes"):
            return bytes(value["bytes"])
        if isinstance(value, Mapping) and value.get("path"):
            return read_bytes(Path(value["path"]), str(value["path"]))
        raise InputError(f"{self.source.data_dir}: {self.image_id}: its column {column!r} holds no picture.")


class HubSource(Source):
    """Images of a Hub data set. Raises `InputError` if it cannot be opened or lacks a column."""

    name = "hub"

    def __init__(
        self,
        data_dir: str | Path,
        image: str = "image",
        label: str = "",
        instance: str = "",
        id: str = "",
        classes: str = "label-ids",
        config: str = "",
        revision: str = "",
        streaming: bool = False,
    ) -> None:
        if classes not in TABLES:
            raise InputError(f"classes is {classes!r}; the classes of a label column are {' or '.join(TABLES)}.")
        if instance and not label:
            raise InputError(
                "instance names a column of objects, whose classes a column of labels must say; give label too."
            )
        self.data_dir, self.classes = str(data_dir), classes
        self.columns = {
            key: value for key, value in (("image", image), ("label", label), ("instance", instance)) if value
        }
        self.has_truth = bool(label)
        given = {"image": image, "label": label, "instance": instance, "id": id, "classes": classes, "config": config,
                 "revision": revision, "streaming": streaming}  # fmt: skip
        usual = {"image": "image", "classes": "label-ids", "streaming": False}
        self._options = {key: value for key, value in given.items() if value != usual.get(key, "")}
        self.rows: dict[str, Rows] = {}
        self._frames: dict[str, tuple[HubFrame, ...]] = {}
        for split, data in _opened(self.data_dir, config, revision, streaming).items():
            self._add(SPLITS.get(split, split), data, id, streaming)

    def _add(self, split: str, data: Any, id_column: str, streaming: bool) -> None:
        import datasets

        have = list(data.features or data.column_names or ())
        if missing := [c for c in (*self.columns.values(), *filter(None, [id_column])) if c not in have]:
            raise InputError(f"{self.data_dir}: has no column {missing[0]!r} in {split}; there is {', '.join(have)}. Name columns "
                             "with --source-option image=NAME, label=NAME, instance=NAME, id=NAME.")  # fmt: skip
        names = _names(data, id_column, streaming)
        wanted = list(dict.fromkeys(self.columns.values()))
        data = data.select_columns(wanted)
        for column in wanted:
            data = data.cast_column(column, datasets.Image(decode=False))
        self.rows[split] = Rows(data, streaming)
        frames = [HubFrame(name, row, split, self) for row, name in enumerate(names)]
        if len(set(names)) < len(names):
            raise InputError(
                f"{self.data_dir}: its column {id_column!r} names two images of {split} alike; name another one."
            )
        self._frames[split] = tuple(sorted(frames, key=lambda frame: frame.image_id))

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("train", "validation", "test") if split in self._frames) + tuple(
            split for split in self._frames if split not in ("train", "validation", "test")
        )

    def frames(self, split: str) -> Sequence[HubFrame]:
        name = SPLITS.get(split, split)
        if name not in self._frames:
            raise InputError(f"No split {split!r}: {self.data_dir} has {', '.join(self.splits())}.")
        return self._frames[name]

    def describe(self) -> dict[str, Any]:
        folder = os.path.abspath(self.data_dir) if Path(self.data_dir).expanduser().is_dir() else self.data_dir
        return {"name": self.name, "data_dir": folder, **self._options}


def _opened(data_dir: str, config: str, revision: str, streaming: bool) -> Mapping[str, Any]:
    """The splits by name. Raises `InputError`."""
    import datasets

    folder = Path(data_dir).expanduser()
    try:
        return datasets.load_dataset(
            str(folder) if folder.is_dir() else data_dir,
            config or None,
            revision=revision or None,
            streaming=streaming,
        )
    except Exception as error:  # of the network, of files, of `datasets`' own kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{data_dir}: `datasets` cannot open it ({reason}); give ORG/NAME of the Hub or a folder."
        ) from None


def _names(data: Any, id_column: str, streaming: bool) -> list[str]:
    """Ids of all rows. A stream is gone through once where nobody says how many there are."""
    if id_column:
        return [str(row[id_column]) for row in data.select_columns([id_column])]
    count = data.num_rows if not streaming else None
    if streaming and data.info.splits and data.split in data.info.splits:
        count = data.info.splits[data.split].num_examples
    if count is None:
        count = sum(1 for _ in data.select_columns([data.column_names[-1]]))
    return [f"{row:08d}" for row in range(count)]
