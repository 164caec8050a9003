"""Write the reference pages of docs/ from the code, so that no second list of settings or options exists.

    python builder_scripts/write_reference.py docs

A test fails when the pages are not what this prints. Everything comes from the recipes, the fields of their settings and
the argument parsers; nothing depends on the version of Python or the width of the terminal.
"""

from __future__ import annotations

import argparse
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mbps_dataset.cli import parser as command_line
from mbps_dataset.named_recipes import RECIPES
from mbps_dataset.recipe import Recipe, stage_names
from mbps_dataset.settings import allowed_values, as_typed
from mbps_dataset.training.cause import CauseTrainingSettings
from mbps_dataset.training.correspondence import CorrespondenceSettings
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.spidepth import SPIdepthTrainingSettings
from mbps_dataset.training.stego import StegoTrainingSettings
from mbps_dataset.training.token_whitening import WhiteningSettings


NOTE = "<!-- Written by builder_scripts/write_reference.py; change the code, then run it again. -->"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """File name to text of the generated pages."""
    return {
        "recipes.md": recipes_page(),
        "training-settings.md": training_page(),
        "command-line.md": command_line_page(),
    }


def recipes_page() -> str:
    """Every named recipe with what it saw, and every setting with its meaning, default, range and choices."""
    lines = ["# Recipes and settings", "", NOTE, "", _RECIPES_HEAD]
    lines += _table(("recipe", "what it is"), [(f"`{r.name}`", r.summary) for r in RECIPES.values()])
    lines += ["", "## What each recipe changes", ""]
    for recipe in RECIPES.values():
        lines += [f"### {recipe.name}", "", *_changes(recipe), "", "What its networks saw in training:", ""]
        lines += [f"- {component}: {seen}" for component, seen in recipe.supervision]
        lines.append("")
    lines += ["## Settings", "", _SETTINGS_HEAD]
    for stage in stage_names():
        settings = getattr(Recipe("defaults"), stage)
        lines += [
            "",
            f"### {stage}",
            "",
            _first_sentence(type(settings).__doc__),
            "",
            *_settings_table(settings.prefix, settings),
        ]
    return "\n".join(lines).rstrip() + "\n"


_RECIPES_HEAD = """A recipe is every setting that decides the labels, under a name. `mbps info --recipe NAME` prints one,
`--set STAGE.SETTING=VALUE` changes a setting, and `mbps info --recipe NAME --json` writes a file that `--recipe` reads.
"""

_SETTINGS_HEAD = """Defaults are those of the `mbps` recipe's stages unless a recipe above changes them. Lists are written
with commas (`--set semantics.scales=0.75,1,1.5`), nothing is written `none`."""


def _changes(recipe: Recipe) -> list[str]:
    """The settings in which a recipe differs from the defaults."""
    plain = Recipe("defaults").settings()
    changed = [
        (f"`{stage}.{name}`", _value(value), _value(plain[stage][name]))
        for stage, values in recipe.settings().items()
        for name, value in values.items()
        if value != plain[stage][name]
    ]
    return _table(("setting", "value", "default"), changed) if changed else ["Every setting is at its default."]


def training_page() -> str:
    """The settings of training, which `mbps train` and Python take."""
    lines = ["# Training settings", "", NOTE, "", _TRAINING_HEAD]
    for title, settings in (
        ("Panoptic", PanopticTrainingSettings()),
        ("CAUSE", CauseTrainingSettings()),
        ("CAUSE by whitening", WhiteningSettings()),
        ("STEGO and DepthG", StegoTrainingSettings()),
        ("Correspondence losses of STEGO and DepthG", CorrespondenceSettings()),
        ("SPIdepth", SPIdepthTrainingSettings()),
    ):
        lines += ["", f"## {title}", "", _first_sentence(type(settings).__doc__), "", *_settings_table("", settings)]
    return "\n".join(lines).rstrip() + "\n"


_TRAINING_HEAD = """What training can be told. [On a label set](training.md): `mbps train panoptic --set SETTING=VALUE`, in
Python `mbps_dataset.training.panoptic.PanopticTrainingSettings`. [The networks that make labels](training-networks.md): in
Python `mbps_dataset.training.cause.CauseTrainingSettings`, `mbps_dataset.training.token_whitening.WhiteningSettings` and
`mbps_dataset.training.spidepth.SPIdepthTrainingSettings`; the options of [`mbps train`](command-line.md#mbps-train) set the
usual ones."""


def _settings_table(prefix: str, settings: Any) -> list[str]:
    """Every field with meaning, default and what it may be; where the defaults come from, if the fields say it."""
    hints = typing.get_type_hints(type(settings))
    rows = []
    for declared in fields(settings):
        row = (f"`{prefix}{declared.name}`", declared.metadata["help"], _value(getattr(settings, declared.name)),
               allowed_values(declared.metadata, hints[declared.name], "`"), declared.metadata.get("source") or "")  # fmt: skip
        rows.append(row)
    head = ("setting", "meaning", "default", "allowed", "default from")
    width = len(head) if any(row[-1] for row in rows) else len(head) - 1
    return _table(head[:width], [row[:width] for row in rows])


def _value(value: Any) -> str:
    return "none" if value is None or value == () else f"`{as_typed(value)}`"


def command_line_page() -> str:
    """Every command with its arguments and example."""
    top = command_line()
    commands = list(_commands(top))
    lines = ["# Command line", "", NOTE, "", top.description or "", ""]
    lines += _table(("command", "what it does"), [(f"[`{c.prog}`](#{c.prog.replace(' ', '-')})", _plain(c.description or "").rstrip(".")) for c in commands if c.prog.count(" ") == 1])  # fmt: skip
    lines += ["", *_arguments(top), "", _EXIT_STATUS]
    for command in commands:
        lines += ["", f"{'#' * (1 + command.prog.count(' '))} {command.prog}", ""]
        if command.description:
            lines += [_plain(command.description), ""]
        lines += _arguments(command)
        if command.epilog:
            _, _, example = command.epilog.partition("\n")
            lines += ["", "```bash", *(line.removeprefix("  ") for line in example.splitlines()), "```"]
    return "\n".join(lines).rstrip() + "\n"


_EXIT_STATUS = """Exit status: 0 done; 1 something you can mend, said in one line; 2 an argument that is not understood; 3
done, but some images failed; 130 interrupted, 143 by a termination."""


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The subcommands of a parser, each followed by its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from _commands(command)


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        rows.append((_name(action), _meaning(action, parser.prog)))
    return _table(("argument", "meaning"), rows) if rows else []


def _name(action: argparse.Action) -> str:
    """The argument as it is typed: ``--limit N``, or its place."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"`{f'[{value}]' if action.nargs == '?' else value}`"
    if action.nargs == 0:
        return ", ".join(f"`{option}`" for option in action.option_strings)
    return ", ".join(f"`{option} {value}{' …' if action.nargs == '+' else ''}`" for option in action.option_strings)


def _meaning(action: argparse.Action, prog: str) -> str:
    text = (action.help or "") % {**vars(action), "prog": prog}
    if action.choices:
        text = f"{text} (one of {', '.join(f'`{choice}`' for choice in action.choices)})".strip()
    shown = action.default not in (None, False, [], (), "", argparse.SUPPRESS) and "default" not in text
    if shown and action.option_strings:
        text += f" (default: {action.default})"
    return text + (" (required)" if action.required and action.option_strings else "")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _first_sentence(docstring: str | None) -> str:
    return _plain((docstring or "").split("\n\n")[0])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table; a bar inside a cell is escaped."""
    cells = [[cell.replace("|", "\\|").strip() or "–" for cell in row] for row in rows]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in cells)]


if __name__ == "__main__":
    main()
