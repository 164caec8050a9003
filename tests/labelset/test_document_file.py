"""``labelset.json``: whatever is wrong with it is one line that names the file and says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbps_dataset import cli
from mbps_dataset.errors import InputError
from mbps_dataset.labelset.document_file import intact_document, read_document, write_document
from mbps_dataset.labelset.folder import LabelSetFolder


DOCUMENT = {
    "format_version": "1.0.0", "package_version": "0.1.0", "identity": "ab" * 32,
    "recipe": {"name": "demo", "summary": "small", "settings": {"output": {"size": "image", "with_images": True}}},
    "source": {"name": "scenes"}, "splits": ["train"],
    "limit": None, "digests": {"recipe": "0", "input": "1", "weights": {}}, "supervision": {}, "ground_truth_used": [],
    "calibration": {"classes": [], "images": 0, "truth_used": [], "cluster_to_class": None, "centroids": None},
    "counts": {"train": {"rows": 1, "segments": 2, "instances": 0}}, "failures": [],
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_document(tmp_path / "labelset.json", DOCUMENT)
    return tmp_path / "labelset.json"


def without(*keys: str) -> dict:
    document = json.loads(json.dumps(DOCUMENT))
    *outer, last = keys
    inner = document
    for key in outer:
        inner = inner[key]
    del inner[last]
    return document


def test_what_was_written_is_read(path: Path) -> None:
    read = read_document(path)
    assert read.pop("checksum") and read == DOCUMENT and intact_document(path).pop("checksum")
    assert LabelSetFolder(path.parent).document["recipe"]["name"] == "demo"


def test_a_release_has_no_checksum_and_is_read_but_does_not_vouch_for_a_build(path: Path) -> None:
    path.write_text(json.dumps(DOCUMENT | {"release": {}}))
    assert read_document(path)["release"] == {} and intact_document(path) == {}


def with_value(value: object, *keys: object) -> dict:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return document


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"damaged \(empty\)"),
        (b" \n", r"damaged \(empty\)"),
        (b"\xff\xfe{}", r"damaged \(no UTF-8 text at byte 0\)"),
        (json.dumps(DOCUMENT, indent=2).encode()[:300], r"damaged \(not JSON at line \d+ column \d+: "),
        (b"[1, 2]", "holds a list where a label set's document is expected"),
        (b"null", "holds nothing where"),
        (b'"text"', "holds a text where"),
        (json.dumps(without("calibration")).encode(), r"damaged \(lacks calibration\)"),
        (json.dumps(without("recipe", "name")).encode(), r"damaged \(lacks recipe.name\)"),
        (json.dumps(without("counts", "train")).encode(), r"damaged \(lacks counts.train\)"),
        (json.dumps(without("counts", "train", "rows")).encode(), r"damaged \(lacks counts.train.rows\)"),
        (json.dumps(DOCUMENT | {"recipe": [1]}).encode(), r"damaged \(recipe is a list, not an object\)"),
        (json.dumps(DOCUMENT | {"splits": None}).encode(), r"damaged \(splits is nothing, not a list\)"),
        (json.dumps(DOCUMENT | {"identity": 1.5}).encode(), r"damaged \(identity is 1.5, not a text\)"),
        (b"[" * 100_000, "damaged .nested more than 32 deep"),
        (b'{"format_version": "1.0.0", "format_version": "1.0.0"}', "damaged .the key 'format_version' twice"),
        (b'{"format_version": "\\ud800"}', "damaged .the text .*, which is no Unicode"),
        (json.dumps(DOCUMENT | {"format_version": "2.0.0"}).encode(),
         "written in format 2.0.0, but this mbps-dataset reads format 1; install the mbps-dataset that wrote it"),
        (json.dumps(DOCUMENT | {"checksum": "0" * 64}).encode(), r"damaged \(its content and its checksum disagree"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_one_line(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"labelset.json: {message}") as said:
        read_document(path)
    assert "\n" not in str(said.value) and "again" in str(said.value)
    assert intact_document(path) == {}


def test_any_change_by_hand_is_found(path: Path) -> None:
    path.write_text(path.read_text().replace('"rows": 1', '"rows": 9'))
    with pytest.raises(InputError, match="perhaps changed by hand.*run the same `mbps build` again"):
        read_document(path)


def test_a_later_format_of_the_same_kind_is_read(path: Path) -> None:
    write_document(path, DOCUMENT | {"format_version": "1.4.0", "new": 1})
    assert read_document(path)["new"] == 1


def test_a_missing_document_says_which_folder_to_give(tmp_path: Path) -> None:
    for read in (read_document, lambda path: LabelSetFolder(path.parent)):
        with pytest.raises(
            InputError, match="holds no labelset.json; give the folder that `mbps build --output` wrote"
        ):
            read(tmp_path / "labelset.json")
    (tmp_path / "labelset.json").mkdir()
    with pytest.raises(InputError, match=r"labelset.json: cannot be read \(Is a directory\)"):
        read_document(tmp_path / "labelset.json")


MORE = {"export": ["out", "--format", "cups"], "push": ["org/name", "--tag", "v1", "--dry-run"]}


@pytest.mark.parametrize("command", ["eval", "preview", "export", "push"])
def test_an_unfinished_build_is_said_to_be_one(tmp_path: Path, command: str, capsys) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/build.json").write_text("{}")
    assert cli.main([command, str(tmp_path), *MORE.get(command, [])]) == 1
    said = f"mbps {command}: {tmp_path} holds a build that is unfinished; `mbps resume {tmp_path}` continues it.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["info", "eval", "preview", "export", "push"])
def test_a_folder_that_does_not_exist_is_said_not_to(tmp_path: Path, command: str, capsys) -> None:
    assert cli.main([command, str(tmp_path / "nothere"), *MORE.get(command, [])]) == 1
    assert capsys.readouterr().err.startswith(f"mbps {command}: {tmp_path / 'nothere'} does not exist; give ")


@pytest.mark.parametrize("command", ["info", "eval", "preview", "export", "push"])
@pytest.mark.parametrize("content", ["", "[]", '{"format_version": "1.0.0"}', "without calibration", "../../x"])
def test_every_command_says_it_in_one_line(path: Path, command: str, content: str, capsys) -> None:
    """Nothing is asked of the Hub, and nothing is written, before the document has been read."""
    made = {"without calibration": without("calibration"), "../../x": with_value("../../x", "splits", 0)}
    path.write_text(json.dumps(made[content]) if content in made else content)
    more = {"export": [str(path.parent / "out"), "--format", "cups"], "push": ["org/name", "--tag", "v1"]}.get(
        command, []
    )
    assert cli.main([command, str(path.parent), *more]) == 1
    assert list(path.parent.iterdir()) == [path]
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith(f"mbps {command}: {path}: ")
