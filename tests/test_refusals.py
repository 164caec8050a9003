"""The page of refusals quotes messages that the package has, and limits that it keeps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbps_dataset
from mbps_dataset import named_recipes
from mbps_dataset.reading import image_files, names
from mbps_dataset.sources import detection_records


PACKAGE = Path(mbps_dataset.__file__).parent
PAGE = (PACKAGE.parent / "docs/refusals.md").read_text(encoding="utf-8")
ROWS = [
    (heading, *re.split(r" \| ", line.strip("| ")))
    for heading, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    for line in text.splitlines()
    if line.startswith("| `")
]


def templates() -> Iterator[str]:
    """Every text of the package but docstrings, with … for what is put in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in set(ast.walk(tree)) - said:
            if isinstance(node, ast.JoinedStr):
                yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEMPLATES = list(templates())


def pieces(quoted: str) -> list[str]:
    """What a quoted message says between its …; a message with code marks stands between two of them and a space."""
    message = quoted[3:-3] if quoted.startswith("``") else quoted[1:-1]
    return [piece for piece in message.split("…") if piece.strip(" :.")]


def has_in_order(text: str, parts: list[str]) -> bool:
    position = 0
    for part in parts:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def test_every_kind_has_rows() -> None:
    assert {row[0] for row in ROWS} == {
        "Photographs", "Label maps and predictions", "COCO panoptic files", "Detections", "Depth, flow and disparity from files",
        "Recipes and settings", "Weights", "Label sets and exports", "The Hub",
    }  # fmt: skip
    assert len(ROWS) > 80 and {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1][:60])
def test_quoted_messages_are_in_the_source(row: tuple[str, ...]) -> None:
    parts = pieces(row[1])
    assert len("".join(parts)) > 8, "too short to be found by"
    assert any(has_in_order(text, parts) for text in TEMPLATES), parts


def test_a_message_that_changed_would_be_noticed() -> None:
    parts = pieces("`…: the file is hollow; …`")
    assert parts == [": the file is hollow; "] and not any(has_in_order(text, parts) for text in TEMPLATES)


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("is more than … pixels", (image_files.MAX_PIXELS, image_files.MAX_WEBP_PIXELS)),
        ("bytes are too many", (image_files.BYTES_PER_PIXEL, image_files.SPARE_BYTES)),
        ("a JPEG of … scans", (image_files.MAX_SCANS,)),
        ("more than … parts", (image_files.MAX_PARTS,)),
        ("is too small", (image_files.MIN_SIDE_PX,)),
        ("is longer than", (int(image_files.MAX_ASPECT),)),
        ("bytes, and … is the most", (image_files.MAX_FILE_BYTES,)),
        ("the masks cover the image", (detection_records.MOST_COVERED,)),
        ("not a recipe", (named_recipes._MOST_BYTES,)),
        ("A recipe's name names folders", (names.LONGEST_NAME,)),
    ],
)
def test_limits_are_those_of_the_package(message: str, numbers: tuple[int, ...]) -> None:
    (why,) = [row[2] for row in ROWS if message in row[1]]
    assert set(numbers) <= {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", why)}, why
