"""How a setting is declared once: default, meaning, unit, range and source in a dataclass field, and reading it from text.

Stages, training, metrics and scenes declare theirs alike, as `Settings`. Validation, ``--set``, ``--dry-run`` and the
lists of settings are all derived from such fields (ours), so that no second list can drift.
"""

from __future__ import annotations

import math
import types
import typing
import unicodedata
from dataclasses import field, fields
from typing import Any

from mbps_dataset.errors import RecipeError
from mbps_dataset.reading.names import shown


LARGEST = 2**63 - 1
"""What a number may be at most where its setting names no bound: more does not fit the 64 bits that seeds and sizes have."""

LONGEST_TEXT = 4096
"""Characters of a text; the longest path of Linux."""


def setting(default: Any, help: str, *, unit: str | None = None, source: str | None = None,
            at_least: float | None = None, at_most: float | None = None, choices: tuple[str, ...] | None = None,
            locates: bool = False) -> Any:  # fmt: skip
    """A dataclass field that carries its meaning, unit, range and where its default comes from; see `validate`.

    `locates` marks a path or Hub id: what counts is what lies there, not how it is spelled.
    """
    metadata = {"help": help, "unit": unit, "source": source, "min": at_least, "max": at_most, "choices": choices,
                "locates": locates}  # fmt: skip
    return field(default=default, metadata=metadata)


class Settings:
    """Base of a frozen dataclass whose fields are `setting`s: checked when it is made, also by ``replace``.

    `prefix` stands before a setting's name in messages. Raises `RecipeError` naming the first setting that cannot be.
    """

    prefix = ""  # not annotated, or it would be taken for a setting

    def __init_subclass__(cls, *, prefix: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.prefix = prefix

    def __post_init__(self) -> None:
        validate(self, self.prefix)


def require_ascending(settings: Settings, *names: str) -> None:
    """Raises `RecipeError` naming the first of these pairs whose least value is above its largest."""
    for name in names:
        least, largest = getattr(settings, name)
        if least > largest:
            raise RecipeError(f"{settings.prefix}{name} must be (least, largest), but is {(least, largest)}.")


def validate(settings: Any, prefix: str = "") -> None:
    """Raises `RecipeError` naming the first setting of a settings dataclass whose type or range is wrong."""
    hints = typing.get_type_hints(type(settings))
    for declared in fields(settings):
        name, value = prefix + declared.name, getattr(settings, declared.name)
        if not _has_type(value, hints[declared.name]):
            raise RecipeError(f"{name} must be of type {_type_name(hints[declared.name])}, but is {shown(value)}.")
        choices, low, high = (declared.metadata.get(key) for key in ("choices", "min", "max"))
        if choices and value not in choices:
            raise RecipeError(f"{name} must be one of {', '.join(map(repr, choices))}, but is {shown(value)}.")
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, str):
                check_text(name, item)
            elif isinstance(item, (int, float)) and not isinstance(item, bool):
                _check_number(name, item, low, high)


def _check_number(name: str, number: float, low: float | None, high: float | None) -> None:
    """Raises `RecipeError` for a number that is not finite, out of range, or more than 64 bits hold."""
    most = LARGEST if high is None else high
    if isinstance(number, float) and not math.isfinite(number) or number > most or (low is not None and number < low):
        span = f"between {low} and {most}" if high is not None or number > most else f"at least {low}"
        span = "a finite number" if low is None else span
        raise RecipeError(f"{name} must be {span}, but is {shown(number)}.")


def check_text(name: str, text: object) -> None:
    """Raises `RecipeError` for what is no text, or one that no file name and no line of a message can hold."""
    if not isinstance(text, str):
        raise RecipeError(f"{name} must be text, but is {shown(text)}.")
    if len(text) > LONGEST_TEXT:
        raise RecipeError(f"{name} must have at most {LONGEST_TEXT} characters, but has {len(text)}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise RecipeError(f"{name} must be text without control characters, but is {shown(text)}.")


def _has_type(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_has_type(value, option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return isinstance(value, str)  # which one is judged by `choices`
    if origin is tuple:
        return isinstance(value, tuple) and _have_types(value, typing.get_args(hint))
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, type(None) if hint in (None, type(None)) else hint)


def _have_types(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    return len(values) == len(hints) and all(map(_has_type, values, hints))


def _type_name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)


def parse_setting(text: str, hint: Any, key: str) -> Any:
    """A value written as on the command line, as the type `hint`; raises `RecipeError` naming `key`."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if type(None) in options and text.lower() in ("none", "null", ""):
        return None
    target = next(option for option in options if option is not type(None))
    try:
        if target is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if typing.get_origin(target) is tuple:
            return tuple(typing.get_args(target)[0](item) for item in text.strip("()[] ").split(",") if item.strip())
        return text if typing.get_origin(target) is typing.Literal else target(text)
    except (ValueError, KeyError):
        raise RecipeError(f"{key} must be of type {_type_name(target)}, but {text!r} was given.") from None


def as_typed(value: Any) -> str:
    """A value as it is written on the command line; `parse_setting` reads it back.

    >>> as_typed((0.75, 1.0)), as_typed(True), as_typed(None), as_typed(())
    ('0.75,1.0', 'true', 'none', 'none')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == ():
        return "none"
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def allowed_values(metadata: typing.Mapping[str, Any], hint: Any, quote: str = "") -> str:
    """What a setting may be, in words: its choices between `quote`s, or type, unit and range."""
    if metadata.get("choices"):
        return ", ".join(f"{quote}{choice}{quote}" for choice in metadata["choices"])
    low, high, unit = (metadata.get(key) for key in ("min", "max", "unit"))
    kind = _type_words(hint)
    if metadata.get("locates"):
        kind = kind.replace("text", "path or Hub id")
    if unit:
        kind += f", {unit}"
    if low is None and high is None:
        return kind
    return f"{kind}, at least {low}" if high is None else f"{kind}, {low} to {high}"


def _type_words(hint: Any) -> str:
    """A type as a reader calls it."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_type_words(argument) for argument in arguments)
    if typing.get_origin(hint) is tuple:
        return f"list: {_type_words(arguments[0])}"
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "none"}
    return words[hint]
