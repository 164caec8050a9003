"""The guard of the fuzz tests sees what it is there for."""

from __future__ import annotations

import re

import pytest

from tests.end_to_end import fuzz_guard as guarding
from tests.end_to_end.fuzz_guard import Guard, read_again
from tests.end_to_end.fuzz_worker import fault_of_message


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("traceback", "KeyError: 'a.json'"),
        ("nameless", "a message without any of \\['a.json'\\]: 'it is damaged'"),
        ("memory", r"1[12]\d\d MB more memory"),
        ("outside", "changed outside the target: .*level/level/escaped"),
        ("its input", "changed outside the target: .*in/a.json"),
        ("crash", "ended the process with status -11"),
        ("hang", "took more than 0.5 seconds"),
    ],
)
def test_what_goes_wrong_is_seen_and_the_next_example_is_read(
    fuzz_guard: Guard, monkeypatch: pytest.MonkeyPatch, how: str, fault: str
) -> None:
    if how == "hang":
        monkeypatch.setattr(guarding, "MOST_SECONDS", 0.5)
    with pytest.raises(AssertionError, match=f"misbehave: (.|\\n)*{fault}"):
        fuzz_guard.check("misbehave", {"a.json": b"{}"}, ["a.json"], arguments=how)
    monkeypatch.undo()
    fuzz_guard.check("misbehave", {"a.json": b"{}"}, ["a.json"], arguments="well")


def test_a_failing_example_can_be_read_again(fuzz_guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError) as said:
        fuzz_guard.check("misbehave", {"a.json": b"{}"}, ["a.json"], arguments="nameless")
    (shown,) = re.findall(r"read_again\('(.*)'\)", str(said.value))
    read_again(shown)
    assert "a message without any of ['a.json']: 'it is damaged'" in capsys.readouterr().out


def test_messages_are_short_lines_that_name_the_file() -> None:
    assert fault_of_message("a.json: damaged", ["a.json"]) is None and fault_of_message("x", []) is None
    for message in ("", "a.json: " + "x" * 2000, "a.json\n", "a.json:\ndamaged"):
        assert (fault_of_message(message, ["a.json"]) is None) == (message == "a.json\n"), message
