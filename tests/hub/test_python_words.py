"""Advice in the words of the command line is read as arguments from Python."""

from __future__ import annotations

import pickle

import pytest

from mbps_dataset.errors import RecipeError, StoreError, WeightsError
from mbps_dataset.hub.python_words import in_python_words, python_words


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("pass --set semantics.crop=56.", 'pass settings=["semantics.crop=56"].'),
        ("set `--set things.method=depth-split`: x", 'set `settings=["things.method=depth-split"]`: x'),
        ("--set a.b=1 --set c.d=2.5, or --set e.f=x", 'settings=["a.b=1", "c.d=2.5"], or settings=["e.f=x"]'),
        ("--set detections.files=… again", 'settings=["detections.files=…"] again'),
        ("--set depth.max_depth=80 (or 90)", 'settings=["depth.max_depth=80"] (or 90)'),
        ("(--set cuts.weights=a/b,c/d)", '(settings=["cuts.weights=a/b,c/d"])'),
        ("give --data-dir DIR, --source scenes", 'give data_dir="DIR", source="scenes"'),
        ("The source 'kitti' needs --data-dir DIR, the", "The source 'kitti' needs data_dir=\"DIR\", the"),
        ("give --truth-dir DIR.", 'give source_options={"truth_dir": "DIR"}.'),
        ("give --source-option sequence=true.", 'give source_options={"sequence": True}.'),
        ("go on with --device cpu.", 'go on with device="cpu".'),
        ("`mbps convert cause` and 3 --- dashes", "`mbps convert cause` and 3 --- dashes"),
    ],
)
def test_options_become_arguments(told, expected):
    assert python_words(told) == expected


@pytest.mark.parametrize("error", [RecipeError, WeightsError, StoreError])
def test_errors_keep_their_class_and_place(error):
    with pytest.raises(error) as said, in_python_words():
        raise error("pass --set a.b=1")
    assert str(said.value) == 'pass settings=["a.b=1"]' == str(pickle.loads(pickle.dumps(said.value)))
    assert said.traceback[-1].name == "test_errors_keep_their_class_and_place"


def test_other_errors_come_through_as_they_are():
    with pytest.raises(KeyError, match="--set a.b=1"), in_python_words():
        raise KeyError("--set a.b=1")
    with pytest.raises(StoreError) as said, in_python_words():
        raise StoreError(28, "No space left on device")
    assert said.value.errno == 28
