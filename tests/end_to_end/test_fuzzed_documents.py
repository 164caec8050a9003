"""Mangled recipes, label sets and exports: a result, or one line that names the file; see `fuzz_worker`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.formats.layouts import FORMATS
from mbps_dataset.formats.writing import export
from mbps_dataset.named_recipes import RECIPES
from tests.end_to_end.fuzz_guard import Guard, fuzzed
from tests.end_to_end.mangling import documents, either, mangled
from tests.formats.label_sets import random_label_set


IDS = {"train": ("ulm_000000_000019", "a/b"), "validation": ("frankfurt_000001_000294",)}
COMMANDS = (
    ["info", "SET"], ["eval", "SET", "--truth", "SET"], ["preview", "SET", "--images", "1"],
    ["export", "SET", "OUT", "--format", "coco-panoptic"], ["export", "SET", "OUT", "--format", "cups"],
    ["resume", "SET"],
)  # fmt: skip
"""What is done with a label set; each reads its document."""


@dataclass(frozen=True, repr=False)
class Made:
    """A good label set, its document without a checksum, and exports of it by format."""

    root: Path
    document: dict[str, Any]
    exports: dict[str, Path]

    @property
    def parquet(self) -> bytes:
        return next(self.root.glob("data/train-*")).read_bytes()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("good")
    built = random_label_set(root / "set", ids=IDS)
    for name in FORMATS:
        export(built, root / name, name, progress=False)
    document = json.loads((root / "set/labelset.json").read_text())
    del document["checksum"]  # as in a release, which is checked by its form alone
    return Made(root / "set", document, {name: root / name for name in FORMATS})


@given(data=documents(RECIPES["mbps"].to_json()))
@fuzzed
def test_recipes(fuzz_guard: Guard, data: bytes):
    fuzz_guard.check("recipe", {"recipe.json": data}, ["recipe.json"])


@given(data=st.data())
@fuzzed
def test_documents_of_label_sets(fuzz_guard: Guard, made: Made, data: st.DataObject):
    changed = data.draw(st.one_of(documents(made.document), mangled((made.root / "labelset.json").read_bytes())))
    fuzz_guard.check(
        "label_set", {"set/labelset.json": changed}, ["labelset.json", "/set", ".parquet"],
        arguments=data.draw(st.sampled_from(COMMANDS)), templates=[(made.root, "set")],
    )  # fmt: skip


@given(data=st.data())
@fuzzed
def test_parquet_files(fuzz_guard: Guard, made: Made, data: st.DataObject):
    changed = data.draw(mangled(made.parquet))
    name = "data/train-00000-of-00001.parquet"
    fuzz_guard.check(
        "rows", {f"set/{name}": changed}, [name, "/set", *IDS["train"]], templates=[(made.root, "set")]
    )  # fmt: skip


@given(data=st.data())
@fuzzed
def test_descriptions_of_exports(fuzz_guard: Guard, made: Made, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(made.exports)))
    description = json.loads((made.exports[name] / "mbps_export.json").read_text())
    again = ["export", "SET", "OUT", "--format", "parquet"]
    fuzz_guard.check(
        "label_set", {"set/mbps_export.json": data.draw(documents(description))}, ["mbps_export.json", "/set"],
        arguments=data.draw(st.sampled_from([["eval", "SET", "--truth", "SET"], again])),
        templates=[(made.exports[name], "set")],
    )  # fmt: skip


@given(data=st.data())
@fuzzed
def test_files_of_exports(fuzz_guard: Guard, made: Made, data: st.DataObject):
    """Label files of an export, changed by hand or by a copy, made a label set again."""
    name = data.draw(st.sampled_from(sorted(made.exports)))
    root = made.exports[name]
    files = sorted(path.relative_to(root) for pattern in FORMATS[name].LABEL_FILES for path in root.glob(pattern))
    path = data.draw(st.sampled_from(files))
    good = (root / path).read_bytes()
    changed = data.draw(documents(json.loads(good)) if path.suffix == ".json" else either(mangled, good=good))
    names = ["/set", path.name, *(image_id for ids in IDS.values() for image_id in ids)]
    fuzz_guard.check(
        "label_set", {f"set/{path}": changed}, names, arguments=["export", "SET", "OUT", "--format", "parquet"],
        templates=[(root, "set")],
    )  # fmt: skip
