"""What README and docs say is true: every block runs or is parsed, every command, option and setting exists.

Python blocks run as they stand, each in a folder where ``build/demo`` is a (small) label set; ``<!-- not run: WHY -->``
before a block means that it is compiled only, ``<!-- extra: evaluate -->`` that it loads a metric.
Lines of shell blocks are given to the real argument parsers, settings to the recipes, scripts and targets are looked up.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pytest

from builder_scripts import write_reference
from mbps_dataset import source_names
from mbps_dataset.cli import parser as command_line
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import stage_names
from mbps_dataset.sources import open_source
from tests.sources.trees import save
from tests.tiny import write_photographs


ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?:^<!-- ([\w ]+: [^>]*) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """`name` is the page and the heading above, with a number from the second block on."""

    name: str
    mark: str
    language: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    under: Counter[str] = Counter()
    for match in FENCE.finditer(text):
        headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text[: match.start()]), re.MULTILINE)
        place = f"{page.relative_to(ROOT)}#{re.sub(r'[^a-z0-9]+', '-', headings[-1].lower()).strip('-')}"
        under[place] += 1
        number = under[place]
        yield Block(f"{place}-{number}" if number > 1 else place, match[1] or "", match[2], match[3])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
LINES = [
    pytest.param(line, id=f"{block.name}: {line[:40]}")
    for block in BLOCKS
    if block.language == "bash"
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip()
]


def test_blocks_are_of_a_kind_that_is_checked():
    kinds = {block.language for block in BLOCKS}
    assert kinds <= {"python", "bash", "bibtex", ""}
    assert not [b.name for b in BLOCKS if b.language == "" and re.search(r"^(mbps|python|pip|make) ", b.text, re.M)]
    assert len(PYTHON) >= 8 and len(LINES) >= 60


# Python


@pytest.fixture
def demo_folder(built, small_store, tmp_path, monkeypatch) -> Path:
    """A folder with ``build/demo``, photographs, and `load_dataset` making the demo's scenes few and small."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/demo").symlink_to(built.root)
    (tmp_path / "eval").symlink_to(ROOT / "eval")
    write_photographs(tmp_path / "my/photos", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    load = datasets.load_dataset

    def load_small(path, *arguments, **options):
        if path == "mbps-pseudo":
            scenes = {"source_options": {"train": 3, "validation": 2, "height": 128, "width": 256}}
            options |= {"store": str(small_store), **({} if "data_dir" in options else scenes)}
        return load(path, *arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset", load_small)
    return tmp_path


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_python_blocks_run(block, demo_folder, built, request, monkeypatch):
    code = compile(block.text, block.name, "exec")
    if block.mark.startswith("not run: "):
        return
    if block.mark == "extra: evaluate":
        request.getfixturevalue("evaluate_cache")
        monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", demo_folder / "metrics")
    for package in re.findall(r"^import (duckdb|pandas)$", block.text, re.MULTILINE):
        pytest.importorskip(package)
    names: dict = {"__name__": "__docs__"}
    exec(code, names)
    CHECKS.get(block.name, lambda names, built: None)(names, built)


def check_readme(names, built):
    assert len(names["ds"]) == 3 and len(names["mine"]) == 1
    assert next(iter(names["streamed"]["validation"]))["image_id"] == next(iter(built.rows("validation"))).image_id
    assert names["row"].panoptic.shape == (128, 256) and names["row"].segments


def check_mask2former(names, built):
    import torch

    rows = list(built.rows("train"))[:2]
    batch = names["batch"]
    for row, masks, classes in zip(rows, batch["mask_labels"], batch["class_labels"]):
        assert masks.shape == (len(classes), 128, 256) and set(masks.unique().tolist()) == {0.0, 1.0}
        by_area = sorted(row.segments, key=lambda s: (-s["area"], s["id"]))
        kept = [s["category_id"] for s in by_area]
        if row.panoptic.shape == (128, 256):  # nothing was resized away: every segment, its class and its pixels
            assert classes.tolist() == kept
            assert masks.flatten(1).sum(1).tolist() == [s["area"] for s in by_area]
            assert np.array_equal(masks.sum(0).numpy() == 0, row.panoptic == 0)
        else:
            assert not Counter(classes.tolist()) - Counter(kept)
    assert torch.isfinite(names["loss"]) and names["loss"] > 0
    gradient = names["model"].class_predictor.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0
    assert names["model"].config.num_labels == len(built.calibration.classes) == len(names["names"])


def check_pytorch(names, built):
    import torch

    batch = names["batch"]
    rows = {row.image.tobytes(): row for row in built.rows("train")}
    assert batch["image"].shape == (2, 3, 128, 256) and batch["image"].max() <= 1
    for k in range(2):
        row = rows[(batch["image"][k] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8).tobytes()]
        for column in ("semantic", "instance", "depth"):
            assert np.array_equal(batch[column][k].numpy(), getattr(row, column))
    scores = torch.zeros(2, len(built.calibration.classes), 128, 256)
    loss = torch.nn.functional.cross_entropy(scores, batch["semantic"], ignore_index=255)
    assert loss == pytest.approx(np.log(len(built.calibration.classes)), rel=1e-5)


def check_queries(names, built):
    things = [s for row in built.rows("train") for s in row.segments if s["isthing"]]
    assert names["largest"]["area"].tolist() == sorted((s["area"] for s in things), reverse=True)[:10]
    everything = things + [s for row in built.rows("validation") for s in row.segments if s["isthing"]]
    counted = Counter(s["category_id"] for s in everything)
    assert names["per_class"]["count"].to_dict() == dict(counted)
    area = np.median([s["area"] for s in everything if s["category_id"] == min(counted)])
    assert names["per_class"]["area"][min(counted)] == area


def check_training(names, built):
    assert all(np.isfinite(value) for value in names["losses"].values()) and names["losses"]["loss"] > 0
    assert (
        names["found"].segment_map.shape == (128, 256)
        and names["labelled"].class_names == built.calibration.class_names
    )


def check_columns(names, built):
    row = next(iter(built.rows("train")))
    assert names["areas"] == {s["id"]: s["area"] for s in row.segments}
    assert ((names["report"] == 255_000) == (row.panoptic == 0)).all()


def check_crf(names, built):
    truth = (names["image"][..., 0] > 100).astype(int)
    assert (names["probs"].argmax(0) == truth).mean() < 0.85 and (names["labels"] == truth).all()


def check_data_sets(names, built):
    """The example reads its own tree, and is forgotten again, since other tests list all sources."""
    try:
        for name, code in (("a", 100), ("b", 301)):
            save(Path("streets/pictures/train") / f"{name}.png", np.zeros((32, 64, 3), np.uint8))
            save(Path("streets/classes/train") / f"{name}.png", np.full((32, 64), code, np.uint16))
        frames = open_source("my-streets", data_dir="streets").frames("train")
        assert [int(frame.truth().instance_ids[0, 0]) for frame in frames] == [7, 26001]
        assert "my-streets" in command_line().parse_args(["build", "--source", "my-streets"]).source
    finally:
        source_names.REGISTERED.clear()
    (example,) = [block.text for block in PYTHON if block.name == "docs/data-sets.md#one-of-your-own"]
    assert len(example.splitlines()) < 80


CHECKS: dict[str, Callable] = {
    "docs/data-sets.md#one-of-your-own": check_data_sets,
    "README.md#in-python": check_readme,
    "docs/columns.md#columns": check_columns,
    "docs/crf.md#densecrf-that-installs-everywhere": check_crf,
    "docs/training.md#in-python": check_training,
    "docs/training.md#mask2former": check_mask2former,
    "docs/training.md#plain-pytorch": check_pytorch,
    "docs/training.md#queries": check_queries,
}


def test_every_check_has_its_block():
    assert set(CHECKS) <= {block.name for block in PYTHON}


# Shell


@pytest.mark.parametrize("line", LINES)
def test_shell_lines_can_be_typed(line):
    words = shlex.split(line, comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    if words[:1] == ["mbps"]:
        check_command(words[1:])
    elif words[:2] == ["accelerate", "launch"]:
        assert words[4:6] == ["-m", "mbps_dataset"], line
        check_command(words[6:])
    elif words[0] == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]), f"{words[2]} does not exist"
        check_script(Path(importlib.util.find_spec(words[2]).origin), words[3:])
    elif words[0] == "python":
        check_script(ROOT / words[1], words[2:])
    elif words[0] == "pip":
        check_pip(words[1:])
    elif words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), f"no target {words[1]}"
    else:
        assert words[:3] == ["python3", "-m", "venv"] or words == ["pre-commit", "install"], f"unknown: {line}"


def check_command(words: list[str]) -> None:
    """The parser takes these words, and the recipe these settings. Any other complaint fails the test."""
    try:
        given = command_line().parse_args(words)
    except SystemExit as stopped:
        assert stopped.code == 0 and words == ["--version"], f"mbps {' '.join(words)}"
        return
    if hasattr(given, "settings"):
        get_recipe(given.recipe or "demo").with_settings(given.settings or ())


def check_script(path: Path, words: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words if word.startswith("--")), f"{path.name}: {words}"


def check_pip(words: list[str]) -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
        assert all(re.search(rf"^{name} = \[", declared, re.MULTILINE) for name in extra.split(",")), extra
    if "-c" in words:
        assert (ROOT / words[words.index("-c") + 1]).is_file()


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its subcommands."""
    found = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(options_of, action.choices.values()))
    return found


COMMANDS = next(a.choices for a in command_line()._actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_options_and_settings_in_the_text_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for inline in re.findall(r"`([^`]+)`", text):
        words = inline.split()
        if words and words[0] == "mbps" and len(words) > 1:
            assert words[1] in COMMANDS, inline
            named = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert named <= options_of(COMMANDS[words[1]]), inline
        setting = re.search(r"(?:^|--set )([a-z]+)\.([a-z_]+)(?:=|$)", inline)
        if setting and setting[1] in stage_names() and setting[2] not in ("pth", "npy", "json"):
            assert setting[2] in get_recipe("demo").settings()[setting[1]], inline


# The pages


@pytest.mark.parametrize("name", write_reference.pages())
def test_generated_pages_are_fresh(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == write_reference.pages()[name], "stale: python builder_scripts/write_reference.py docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_pictures_say_what_they_show(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for described, target in re.findall(r"\[([^\]]*)\]\(([^)]+)\)", text):
        if not target.startswith(("https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target
        if target.endswith(".png"):
            assert len(described) > 60, f"{page.name}: say what {target} shows"


def test_the_readme_is_a_front_door():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    table = text.partition("## Recipes")[2].partition("\n## ")[0]
    assert set(RECIPES) <= set(re.findall(r"`([\w-]+)`", table))
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name in text + (ROOT / "docs/index.md").read_text(encoding="utf-8"), f"no way leads to {page.name}"


@pytest.mark.parametrize("name", ["README.md", "docs/installation.md"])
def test_a_checkout_is_installed_with_the_versions_of_make_demo(name):
    """Without them `make demo` would replace torch afterwards, perhaps by its CUDA build."""
    assert "-c constraints.txt -e ." in (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / name).read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if line.startswith(".venv/bin/pip install ")]
    assert len(installs) == 2 and all(" -c constraints.txt " in line for line in installs), installs


@pytest.mark.parametrize(
    "work", ["MBPS", "CAUSE", "DINOv2", "DenseCRF", "SPIdepth", "DINOv3", "CUPS", "U2Seg", "CutLER"]
)
def test_works_are_linked_where_they_are_first_named(work):
    text = README.read_text(encoding="utf-8")
    assert re.search(rf"\b{work}\b", text).start() == text.index(f"[{work}") + 1


def test_every_page_is_in_the_site():
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES[2:]:
        assert str(page.relative_to(ROOT / "docs")) in listed, page
