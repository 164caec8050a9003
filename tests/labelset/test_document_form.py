"""The form of ``labelset.json``: each key that a reader relies on, and each name that becomes a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import cli
from mbps_dataset.errors import InputError
from mbps_dataset.labelset.document_file import read_document
from mbps_dataset.labelset.document_form import fault_of_document
from tests.examples import examples
from tests.hub.label_sets import make_label_set
from tests.labelset.test_document_file import DOCUMENT, with_value


CLASS = {"name": "road", "isthing": False, "ratio": None, "coverage": 0.5, "reason": ""}
FAULTS = [
    (("splits", 0), "../../escape", "a split's name: '../../escape' is no name: it must hold only letters"),
    (("splits", 0), "/tmp/x", "a split's name: '/tmp/x' is no name"),
    (("splits", 0), "..", "a split's name: '..' is no name"),
    (("splits", 0), "*", "a split's name: '*' is no name"),
    (("splits", 0), "con", "Windows keeps it for a device"),
    (("splits", 0), 1, "splits.0 is 1, not a text"),
    (("splits", 0), None, "splits.0 is nothing, not a text"),
    (("splits",), [], "splits names none"),
    (("splits",), ["train", "train"], "splits names one twice"),
    (("splits",), ["validation"], "lacks counts.validation"),
    (("recipe", "name"), "../x", "the recipe's name: '../x' is no name"),
    (("recipe", "name"), ["a"], "recipe.name is a list, not a text"),
    (("recipe", "settings"), [], "recipe.settings is a list, not an object"),
    (("recipe", "settings"), {}, "lacks recipe.settings.output"),
    (("recipe", "settings", "output", "with_images"), 1, "recipe.settings.output.with_images is 1, not true or false"),
    (("source",), {}, "lacks source.name"),
    (("source", "name"), [], "source.name is a list, not a text"),
    (("limit",), "5", "limit is a text, not a number"),
    (("limit",), True, "limit is True, not a number"),
    (("digests",), {}, "lacks digests.recipe, digests.input, digests.weights"),
    (("digests", "weights"), [1], "digests.weights is a list, not an object"),
    (("digests", "weights"), {"cause": 1}, "digests.weights.cause is 1, not a text"),
    (("supervision",), {"depth": None}, "supervision.depth is nothing, not a text"),
    (("supervision",), {"a\nb": 1}, "supervision.'a\\nb' is 1, not a text"),
    (("ground_truth_used",), [1], "ground_truth_used.0 is 1, not a text"),
    (("calibration", "classes"), [1], "calibration.classes.0 is 1, not an object"),
    (("calibration", "classes"), [{}], "lacks calibration.classes.0.name, calibration.classes.0.isthing"),
    (("calibration", "classes"), [CLASS | {"more": 1}], "calibration.classes.0 has the unknown key 'more'"),
    (("calibration", "classes"), [CLASS | {"ratio": "x"}], "calibration.classes.0.ratio is a text, not a number"),
    (("calibration", "images"), 1.5, "calibration.images is 1.5, not a number"),
    (("calibration", "cluster_to_class"), [1, "x"], "calibration.cluster_to_class.1 is a text, not a number"),
    (("calibration", "cluster_to_class"), [300], "calibration.cluster_to_class holds 300"),
    (("calibration", "centroids"), [[1.0], ["x"]], "calibration.centroids.1.0 is a text, not a number"),
    (("calibration", "centroids"), [[1.0], [1.0, 2.0]], "calibration.centroids has rows of several lengths"),
    (("counts", "train"), [], "counts.train is a list, not an object"),
    (("counts", "train", "rows"), "1", "counts.train.rows is a text, not a number"),
    (("counts", "train", "rows"), -1, "counts.train.rows is -1"),
    (("failures",), ["x"], "failures.0 is a text, not an object"),
    (("failures",), [{"image_id": "a"}], "lacks failures.0.stage, failures.0.reason"),
    (("files",), [], "files is a list, not an object"),
]


@pytest.mark.parametrize(("keys", "value", "fault"), FAULTS)
def test_each_fault_is_named_by_its_place(keys: tuple, value: object, fault: str, tmp_path: Path) -> None:
    document = with_value(value, *keys)
    said = fault_of_document(document)
    assert said is not None and said.startswith(fault) or fault in str(said)
    (tmp_path / "labelset.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="labelset.json: damaged .*again") as raised:
        read_document(tmp_path / "labelset.json")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def test_what_a_later_version_adds_is_left_alone() -> None:
    document = with_value([CLASS], "calibration", "classes") | {"new": {"a": [1]}}
    assert fault_of_document(document) is None
    assert fault_of_document(with_value([0, 255], "calibration", "cluster_to_class")) is None
    assert fault_of_document(with_value([[1.0, 2]], "calibration", "centroids")) is None


ANY_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                        max_leaves=6)  # fmt: skip


def places(value: Any, here: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, inner in items for place in places(inner, (*here, key)))]


@examples(150)
@given(st.sampled_from(places(DOCUMENT)[1:]), ANY_JSON)
def test_any_value_anywhere_is_a_fault_in_one_line_or_none(keys: tuple, value: object) -> None:
    said = fault_of_document(with_value(value, *keys))
    assert said is None or ("\n" not in said and len(said) < 400)


@pytest.mark.parametrize("name", ["../../escape", "/tmp/escape", "..", ".hidden", "a/b", "nul"])
@pytest.mark.parametrize("what", ["split", "recipe"])
def test_no_command_writes_outside_its_target(name: str, what: str, tmp_path: Path, capsys) -> None:
    """A label set without a checksum, as a release has none, whose names lead out of the folder."""
    built = make_label_set(tmp_path / "home/set")
    path = built.root / "labelset.json"
    document = json.loads(path.read_text())
    document.pop("checksum")
    if what == "recipe":
        document["recipe"]["name"] = name
    else:
        document["splits"] = [name, "validation"]
        document["counts"][name] = document["counts"].pop("train")
    path.write_text(json.dumps(document))
    before = sorted(tmp_path.rglob("*"))
    for command, more in (
        ("info", []), ("preview", []), ("eval", []), ("push", ["org/name", "--tag", "v1", "--dry-run"]),
        ("export", [str(tmp_path / "home/out"), "--format", "cups"]),
        ("export", [str(tmp_path / "home/out"), "--format", "coco-panoptic"]),
    ):  # fmt: skip
        assert cli.main([command, str(built.root), *more]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{name!r} is no name" in said, said
        assert sorted(tmp_path.rglob("*")) == before
