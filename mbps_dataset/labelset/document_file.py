"""Reading and writing ``labelset.json``: what is read has been checked, and one line says what is wrong with it.

Decisions (ours): a document written here carries a checksum, so a change by hand or a torn copy is found; a release on
the Hub and an imported set carry none, and are checked by their keys alone. Another major number of `format_version`
means that keys changed their meaning, so it is refused, not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.labelset.parquet_files import MEND
from mbps_dataset.records import FORMAT_VERSION
from mbps_dataset.store import digest_of, write_json


NAME = "labelset.json"

_KEYS: Mapping[str, type] = {
    "format_version": str, "package_version": str, "identity": str, "recipe": dict, "source": dict, "splits": list,
    "digests": dict, "supervision": dict, "ground_truth_used": list, "calibration": dict, "counts": dict,
    "failures": list,
}  # fmt: skip
_INNER_KEYS: Mapping[str, Mapping[str, type]] = {
    "recipe": {"name": str, "summary": str, "settings": dict}, "source": {"name": str},
    "calibration": {"classes": list, "images": int, "truth_used": list, "cluster_to_class": object,
                    "centroids": object},
}  # fmt: skip
_COUNTS: Mapping[str, type] = {"rows": int, "segments": int, "instances": int}
_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number"}


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``labelset.json`` atomically, with a checksum of its content. Raises `StoreError`."""
    write_json(path, {**document, "checksum": _checksum(document)})


def read_document(path: Path) -> dict[str, Any]:
    """A ``labelset.json`` with every key of `_KEYS`, in a format that this version reads, undamaged.

    Raises `InputError` in one line with the file's name, what is wrong, and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} holds no {path.name}; give the folder that `mbps build --output` wrote."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged (no UTF-8 text at byte {error.start:,}); {MEND}") from None
    except ValueError as error:
        what = f"not JSON after {len(text):,} characters: {error}" if text.strip() else "empty"
        raise InputError(f"{path}: damaged ({what}); {MEND}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds {_kind(document)} where a label set's document is expected; {MEND}")
    _check_version(path, document.get("format_version"))
    _check_keys(path, "", document, _KEYS)
    for key, inner in _INNER_KEYS.items():
        _check_keys(path, f"{key}.", document[key], inner)
    _check_keys(path, "counts.", document["counts"], dict.fromkeys(document["splits"], dict))
    for split in document["splits"]:
        _check_keys(path, f"counts.{split}.", document["counts"][split], _COUNTS)
    if "checksum" in document and document["checksum"] != _checksum(document):
        raise InputError(f"{path}: damaged (its content and its checksum disagree, perhaps changed by hand); {MEND}")
    return document


def intact_document(path: Path) -> dict[str, Any]:
    """What `write_document` wrote, or {} if it has to be written again: missing, damaged, or without its checksum."""
    try:
        document = read_document(path)
    except InputError:
        return {}
    return document if "checksum" in document else {}


def _checksum(document: Mapping[str, Any]) -> str:
    return digest_of({key: value for key, value in document.items() if key != "checksum"})


def _check_version(path: Path, version: Any) -> None:
    ours = FORMAT_VERSION.split(".")[0]
    if isinstance(version, str) and version.split(".")[0] != ours:
        raise InputError(
            f"{path}: written in format {version}, but this mbps-dataset reads format {ours}; install the mbps-dataset "
            "that wrote it, or build the label set again."
        )


def _check_keys(path: Path, prefix: str, found: Mapping[str, Any], expected: Mapping[str, type]) -> None:
    if missing := [prefix + key for key in expected if key not in found]:
        raise InputError(f"{path}: damaged (lacks {', '.join(missing)}); {MEND}")
    for key, kind in expected.items():
        if not isinstance(found[key], kind):
            what = f"{prefix}{key} is {_kind(found[key])}, not {_KINDS[kind]}"
            raise InputError(f"{path}: damaged ({what}); {MEND}")


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "nothing" if value is None else f"{value!r:.40}")
