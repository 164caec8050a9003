"""`mbps push`: a tag that is not there is no release, and a push that was ended leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from huggingface_hub.errors import RevisionNotFoundError

from mbps_dataset.cli import main
from mbps_dataset.errors import PublishError
from mbps_dataset.hub.publish import DatasetRepository, RepositoryState
from mbps_dataset.labelset.document_file import read_document, write_document
from tests.hub.label_sets import make_label_set


class ForgetfulHub:
    """A Hub that accepts a tag; `targets` are the commits that it then says the tag is on, one a question."""

    def __init__(self, *targets: str | None) -> None:
        self.targets = list(targets)

    def create_tag(self, *_, **__) -> None:
        pass

    def repo_info(self, *_, **__):
        target = self.targets.pop(0)
        if target is None:
            raise RevisionNotFoundError("no such revision", response=Mock(status_code=404))
        return SimpleNamespace(sha=target)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            (None,) * 4,
            "accepted the tag v1, but it is not there; your labels are on main as commit aaaaaaa. Run the same",
        ),
        (
            ("b" * 40,) * 4,
            "accepted the tag v1, but it is on commit bbbbbbb; your labels are on main as commit aaaaaaa",
        ),
    ],
)
def test_a_tag_that_was_accepted_but_is_not_there_is_no_release(targets, message):
    waits = []
    repository = DatasetRepository("me/x", api=ForgetfulHub(*targets), wait=waits.append)
    with pytest.raises(PublishError, match=message):
        repository.tag("v1", "a" * 40, "message")
    assert waits == [1, 2, 4]


def test_a_tag_may_take_a_moment_to_be_seen():
    waits = []
    DatasetRepository("me/x", api=ForgetfulHub(None, "a" * 40), wait=waits.append).tag("v1", "a" * 40, "message")
    assert waits == [1]


def test_previews_go_with_a_release_unless_none_are_wanted(tmp_path, monkeypatch, capsys):
    """The listed sizes are those of the files: the pictures are gone from them."""
    monkeypatch.setattr("mbps_dataset.hub.publish.DatasetRepository.look", lambda *_, **__: RepositoryState())
    built = make_label_set(tmp_path / "set")

    def listed(*options: str) -> list[str]:
        assert main(["push", str(built.root), "me/x", "--tag", "v1", "--dry-run", *options]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if ".parquet" in line]

    with_previews, without = listed(), listed("--without-preview")
    assert len(with_previews) == len(without) == 3
    assert all(a != b for a, b in zip(with_previews, without))


def test_a_licence_of_weights_that_restricts_their_use_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mbps_dataset.hub.publish.DatasetRepository.look", lambda *_, **__: RepositoryState())
    built = make_label_set(tmp_path / "set")
    push = ["push", str(built.root), "me/x", "--tag", "v1", "--dry-run"]
    assert main(push) == 0 and "licence that restricts" not in capsys.readouterr().err
    document = dict(read_document(built.root / "labelset.json"))
    document.pop("checksum", None)
    document["supervision"]["panoptic network"] = (
        "noise; licence of the weights: CC BY-NC-SA 4.0: not for commercial use"
    )
    write_document(built.root / "labelset.json", document)
    assert main(push) == 0
    told = [
        line for line in capsys.readouterr().err.splitlines() if "licence that restricts its use, or none: " in line
    ]
    assert len(told) == 1 and "panoptic network (CC BY-NC-SA 4.0: not for commercial use). See whether" in told[0]


@pytest.fixture
def no_token(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


def test_a_push_without_a_token_is_refused_before_the_hub_is_asked(no_token, tmp_path, monkeypatch, capsys):
    asked = Mock(return_value=RepositoryState())
    monkeypatch.setattr("mbps_dataset.hub.publish.DatasetRepository.look", asked)
    push = ["push", str(make_label_set(tmp_path / "set").root), "me/x", "--tag", "v1"]
    assert main(push) == 1
    assert "no token: run `hf auth login` or set HF_TOKEN." in capsys.readouterr().err and not asked.called
    assert main([*push, "--dry-run"]) == 0 and asked.called


def test_a_dry_run_without_the_hub_does_not_speak_of_uploads(no_token, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mbps_dataset.hub.publish.DatasetRepository._look", Mock(side_effect=ConnectionError("down")))
    monkeypatch.setattr("time.sleep", lambda _: None)
    built = make_label_set(tmp_path / "set")
    assert main(["push", str(built.root), "me/x", "--tag", "v1", "--dry-run"]) == 0
    told = capsys.readouterr().err
    assert "run the same command again later. So this list supposes an empty repository." in told
    assert "uploaded" not in told


PUSH_THAT_HANGS = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from mbps_dataset.hub import publish
def hang(*_, **__):
    print("sending", flush=True)
    time.sleep(60)
publish.DatasetRepository.look = lambda *_, **__: publish.RepositoryState()
publish.DatasetRepository.create = hang
from mbps_dataset.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_push_that_is_ended_leaves_nothing_behind(number, tmp_path):
    """Whatever can be caught removes the copies at once; after a kill (-9) the next push does."""
    built = make_label_set(tmp_path / "set")
    before = sorted(built.root.rglob("*"))
    arguments = ["push", str(built.root), "me/x", "--tag", "v1"]
    process = subprocess.Popen([sys.executable, "-c", PUSH_THAT_HANGS, *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, env={**os.environ, "HF_TOKEN": "none-of-a-hub"})  # fmt: skip
    assert process.stdout.readline() == "sending\n"
    assert list(built.root.glob(".release-*/*.parquet"))
    process.send_signal(number)
    process.wait(timeout=30)
    assert process.returncode != 0
    if number == signal.SIGKILL:
        assert list(built.root.glob(".release-*/*.parquet"))
        assert main([*arguments, "--dry-run"]) == 0
    assert sorted(built.root.rglob("*")) == before
