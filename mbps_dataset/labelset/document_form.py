"""What form a ``labelset.json`` has: every key that some reader relies on, with the kind of its value.

One place, so that no reader meets what it does not expect: documents also come from a release on the Hub and from within
an export, without a checksum. Names of splits and of the recipe become paths, so they follow `mbps_dataset.reading.names`. Keys
that are not listed are left alone: a later format of the same major number may have more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from mbps_dataset.reading.names import fault_of_name, shown


class _Each:
    """A list whose items, or an object whose values, have a form."""

    def __init__(self, kind: type, form: Any) -> None:
        self.kind, self.form = kind, form


_TEXTS = _Each(list, str)
_COUNTS = {"rows": int, "segments": int, "instances": int}
_METHOD = {"method?": str}
_FORM: Mapping[str, Any] = {  # a key with "?" need not be there
    "format_version": str, "package_version": str, "identity": str,
    "recipe": {"name": str, "summary": str,
               "settings": {"output": {"size": str, "with_images": bool, "with_preview?": bool},
                            "depth?": _METHOD, "things?": _METHOD, "instances?": _METHOD}},
    "source": {"name": str}, "splits": _TEXTS, "limit?": (int, NoneType),
    "digests": {"recipe": str, "input": str, "weights": _Each(dict, str), "device?": str, "rows?": str},
    "supervision": _Each(dict, str), "ground_truth_used": _TEXTS,
    "calibration": {
        "classes": _Each(list, {"name": str, "isthing": bool, "ratio": (float, NoneType), "coverage": (float, NoneType),
                                "reason?": str}),
        "images": int, "truth_used": _TEXTS, "notes?": _TEXTS,
        "cluster_to_class": (_Each(list, int), NoneType), "centroids": (_Each(list, _Each(list, float)), NoneType),
        "token_mean?": _Each(list, float), "token_projection?": _Each(list, _Each(list, float)),
    },
    "counts": _Each(dict, _COUNTS),
    "failures": _Each(list, {"image_id": str, "stage": str, "reason": str}),
    "files?": _Each(dict, str), "left_out?": _Each(dict, int),
    "motion?": _Each(dict, {"images_with_objects": int, "objects": int, "reasons": _Each(dict, int)}),
}  # fmt: skip
_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false",
          NoneType: "nothing"}  # fmt: skip


def fault_of_document(document: Mapping[str, Any]) -> str | None:
    """What is wrong with a document, as a clause that fits into brackets; None if nothing is."""
    return _fault("", document, _FORM) or _fault_of_names(document) or _fault_of_numbers(document)


def kind_of(value: Any) -> str:
    """A value in words, for messages.

    >>> kind_of([1]), kind_of(None), kind_of(1.5)
    ('a list', 'nothing', '1.5')
    """
    return _KINDS[type(value)] if isinstance(value, (dict, list, str, NoneType)) else shown(value)


def _fault(where: str, value: Any, form: Any) -> str | None:
    """The first place at which `value` has not the form."""
    if isinstance(form, tuple):
        faults = [_fault(where, value, option) for option in form]
        return None if None in faults else faults[0]
    kind = form.kind if isinstance(form, _Each) else dict if isinstance(form, Mapping) else form
    if not _is_of(value, kind):
        return f"{where or 'the document'} is {kind_of(value)}, not {_KINDS[kind]}"
    if isinstance(form, _Each):
        items = value.items() if kind is dict else enumerate(value)
        return next((fault for key, item in items if (fault := _fault(_inner(where, key), item, form.form))), None)
    if isinstance(form, Mapping):
        required = [key for key in form if not key.endswith("?")]
        if missing := [_inner(where, key) for key in required if key not in value]:
            return f"lacks {', '.join(missing)}"
        present = [(key.rstrip("?"), inner) for key, inner in form.items() if key.rstrip("?") in value]
        return next(
            (fault for key, inner in present if (fault := _fault(_inner(where, key), value[key], inner))), None
        )
    return None


def _inner(where: str, key: object) -> str:
    name = str(key)[:60] if str(key)[:60].isprintable() else shown(key)
    return f"{where}.{name}" if where else name


def _is_of(value: Any, kind: type) -> bool:
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _fault_of_names(document: Mapping[str, Any]) -> str | None:
    splits = document["splits"]
    if fault := fault_of_name(document["recipe"]["name"]):
        return f"the recipe's name: {fault}"
    for split in splits:
        if fault := fault_of_name(split):
            return f"a split's name: {fault}"
        if split not in document["counts"]:
            return f"lacks counts.{split}"
    if not splits or len(set(splits)) < len(splits):
        return "splits names none" if not splits else "splits names one twice"
    return None


def _fault_of_numbers(document: Mapping[str, Any]) -> str | None:
    for split, counts in document["counts"].items():
        for name in _COUNTS:
            if counts[name] < 0:
                return f"counts.{split}.{name} is {shown(counts[name])}"
    calibration = document["calibration"]
    names = calibration["cluster_to_class"] or ()
    if wrong := [k for k in names if not 0 <= k <= 255]:
        return f"calibration.cluster_to_class holds {shown(wrong[0])}"
    for name in ("centroids", "token_projection"):
        if len({len(row) for row in calibration.get(name) or ()}) > 1:
            return f"calibration.{name} has rows of several lengths"
    known = set(_FORM["calibration"]["classes"].form) - {"reason?"} | {"reason"}
    for place, each in enumerate(calibration["classes"]):
        if unknown := sorted(set(each) - known):
            return f"calibration.classes.{place} has the unknown key {shown(unknown[0])}"
    return None
