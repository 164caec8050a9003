"""How hints name the program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mbps_dataset.commands.calling import as_called, program


@pytest.fixture
def called(tmp_path, monkeypatch):
    """An `mbps` in ``env/bin`` below the current folder, called by a path, with a PATH to be chosen."""
    script = tmp_path / "env/bin/mbps"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)

    def call(path: str, *, on_path: Path | None = None) -> Path:
        monkeypatch.setattr(sys, "argv", [path, "info"])
        monkeypatch.setenv("PATH", str(on_path or tmp_path / "nothing"))
        return script

    return call


def test_the_bare_name_is_said_where_the_shell_finds_it(called, tmp_path):
    called(str(tmp_path / "env/bin/mbps"), on_path=tmp_path / "env/bin")
    assert program() == "mbps"


@pytest.mark.parametrize("given", ["env/bin/mbps", "./env/bin/mbps"])
def test_else_the_path_that_works_from_here(called, given):
    called(given)
    assert program() == "env/bin/mbps"
    assert (
        as_called("Run `mbps build` again, see mbps-dataset.") == "Run `env/bin/mbps build` again, see mbps-dataset."
    )
    assert as_called("example:\n  mbps info x") == "example:\n  env/bin/mbps info x"


def test_another_mbps_on_the_path_does_not_count(called, tmp_path, monkeypatch):
    script = called("env/bin/mbps")
    other = tmp_path / "other/mbps"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == "env/bin/mbps"
    monkeypatch.chdir(other.parent)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert program() == str(script)


def test_as_a_module_it_is_pythons(called, tmp_path, monkeypatch):
    called(str(tmp_path / "site/mbps_dataset/__main__.py"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env/bin/python"))
    assert program() == "env/bin/python -m mbps_dataset"


def test_from_python_it_is_the_plain_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", [""])
    assert program() == "mbps" and as_called("`mbps info`") == "`mbps info`"
