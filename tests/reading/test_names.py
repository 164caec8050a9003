"""The one rule for names of splits and recipes: what it lets through is one file name everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.reading.names import LONGEST_NAME, fault_of_name, shown
from tests.examples import examples


@pytest.mark.parametrize("name", ["demo", "mbps-k80", "v1.0_b", "0", "_x", "train", "console", "x" * LONGEST_NAME])
def test_names_that_can_be(name: str) -> None:
    assert fault_of_name(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x", "must hold only letters, digits, '.', '_' and '-', and not begin with '.' or '-'"),
        ("..", "not begin with '.' or '-'"),
        (".hidden", "not begin with '.' or '-'"),
        ("-rf", "not begin with '.' or '-'"),
        ("", "must hold only letters"),
        ("a/b", "must hold only letters"),
        ("a\\b", "must hold only letters"),
        ("/etc/passwd", "must hold only letters"),
        ("a b", "must hold only letters"),
        ("train\n", "must hold only letters"),
        ("straße", "must hold only letters"),
        ("a\0", "must hold only letters"),
        ("C:", "must hold only letters"),
        ("a*", "must hold only letters"),
        ("demo.", "must not end with a dot"),
        ("con", "Windows keeps it for a device"),
        ("Nul.txt", "Windows keeps it for a device"),
        ("COM1", "Windows keeps it for a device"),
        ("x" * (LONGEST_NAME + 1), "it has 65 characters, and 64 is the most"),
        (None, "it must be a text"),
        (["a"], "it must be a text"),
    ],
)
def test_names_that_cannot_be_say_why(name: object, reason: str) -> None:
    fault = fault_of_name(name)
    assert fault is not None and reason in fault and "\n" not in fault and len(fault) < 200


@examples(200)
@given(st.text(max_size=70))
def test_what_is_let_through_is_a_child_of_its_folder(name: str) -> None:
    if fault_of_name(name) is None:
        assert Path("/target", name).resolve().parent == Path("/target") and Path(name).name == name


def test_values_are_shown_on_one_short_line() -> None:
    assert shown("a\nb") == "'a\\nb'" and len(shown("x" * 10**6)) <= 60
    assert shown(np.zeros((2, 1))) == "array([[0.],        [0.]])"
    assert shown(list(range(100))) == "a list of 100 values" and shown([1]) == "[1]"
