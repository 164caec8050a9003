"""Mangled recipes, label sets and exports: a result, or one line that names the file; see `fuzz_worker`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.formats.layouts import LABEL_FORMATS
from mbps_dataset.formats.writing import export
from mbps_dataset.named_recipes import RECIPES
from tests.end_to_end.fuzz_guard import Guard, fuzzed
from tests.end_to_end.mangling import documents, either, mangled
from tests.formats.label_sets import random_label_set
from tests.tiny import tiny_settings


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
    for name in LABEL_FORMATS:
        export(built, root / name, name, progress=False)
    document = json.loads((root / "set/labelset.json").read_text())
    del document["checksum"]  # as in a release, which is checked by its form alone
    return Made(root / "set", document, {name: root / name for name in LABEL_FORMATS})


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
    files = sorted(
        path.relative_to(root) for pattern in LABEL_FORMATS[name].LABEL_FILES for path in root.glob(pattern)
    )
    path = data.draw(st.sampled_from(files))
    good = (root / path).read_bytes()
    changed = data.draw(documents(json.loads(good)) if path.suffix == ".json" else either(mangled, good=good))
    names = ["/set", path.name, *(image_id for ids in IDS.values() for image_id in ids)]
    fuzz_guard.check(
        "label_set", {f"set/{path}": changed}, names, arguments=["export", "SET", "OUT", "--format", "parquet"],
        templates=[(root, "set")],
    )  # fmt: skip


SCORED = {"name": "ours", "convention": "coco", "pq": 0.301, "sq": 0.7, "rq": 0.4, "pq_things": 0.2, "pq_stuff": 0.37,
          "per_class": {"0": {"tp": 3, "fp": 1, "fn": 2, "iou_sum": 2.5, "pq": 0.5, "sq": 0.8, "rq": 0.6}}}  # fmt: skip
MARKDOWN = b"| row | PQ | SQ | RQ |\n|---|---|---|---|\n| ours | 30.1 | 70.0 | 40.2 |\n| theirs | 12 | 55.5 | 20 |\n"


@given(name=st.sampled_from(["rows.json", "rows.md"]), data=st.data())
@fuzzed
def test_tables_of_results(fuzz_guard: Guard, name: str, data: st.DataObject):
    changed = data.draw(documents(SCORED) if name.endswith("json") else mangled(MARKDOWN))
    fuzz_guard.check("table", {name: changed}, [name], arguments=name)


ORDER = {"recipe": RECIPES["demo"].to_json(), "source": {"name": "scenes", "train": 1, "validation": 1, "height": 64, "width": 96},
         "splits": ["train"], "limit": 1, "shards": 1, "device": "cpu", "contents": {}}  # fmt: skip


@given(data=documents(ORDER))
@fuzzed
def test_orders(fuzz_guard: Guard, data: bytes):
    fuzz_guard.check("order", {"order.json": data}, [])


@pytest.fixture(scope="session")
def tiny_inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Photographs, depth and weights, and a recipe that uses them, wherever they lie."""
    root = tmp_path_factory.mktemp("tiny")
    recipe = RECIPES["demo"].with_settings(tiny_settings(root, 1)).to_json()
    return root, json.loads(json.dumps(recipe).replace(str(root), "@IN@"))


@pytest.mark.nightly
@given(data=st.data())
@fuzzed
def test_builds_with_recipes(fuzz_guard: Guard, tiny_inputs: tuple[Path, dict[str, Any]], data: st.DataObject):
    """Whatever a recipe says: a label set, or one line before or instead of it."""
    root, recipe = tiny_inputs
    templates = [(root / name, name) for name in ("photos", "depth", "weights")]
    changed = data.draw(documents({"name": "tiny", "settings": recipe["settings"]}))
    fuzz_guard.check("build", {"recipe.json": changed}, [], templates=templates)
