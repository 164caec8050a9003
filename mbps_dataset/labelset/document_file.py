"""Reading and writing ``labelset.json``: what is read has been checked, and one line says what is wrong with it.

Decisions (ours): a document written here carries a checksum, so a change by hand or a torn copy is found; a release on
the Hub and an imported set carry none, and are checked by their form alone. Another major number of `format_version`
means that keys changed their meaning, so it is refused, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.labelset.document_form import fault_of_document, kind_of
from mbps_dataset.labelset.parquet_files import MEND
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.records import FORMAT_VERSION
from mbps_dataset.store import digest_of, write_json


NAME = "labelset.json"

_MOST_BYTES = 1 << 28
"""Of a document; a set of a million failures has about 200 megabytes."""


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``labelset.json`` atomically, with a checksum of its content. Raises `StoreError`."""
    write_json(path, {**document, "checksum": _checksum(document)})


def read_document(path: Path) -> dict[str, Any]:
    """A ``labelset.json`` in the form of `document_form`, in a format that this version reads, undamaged.

    Raises `InputError` in one line with the file's name, what is wrong, and what to do.
    """
    try:
        document = read_json(path, most_bytes=_MOST_BYTES, nan=True)
    except FileNotFoundError:
        raise InputError(_why_missing(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); {MEND}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds {kind_of(document)} where a label set's document is expected; {MEND}")
    _check_version(path, document.get("format_version"))
    if fault := fault_of_document(document):
        raise InputError(f"{path}: damaged ({fault}); {MEND}")
    if "checksum" in document and document["checksum"] != _checksum(document):
        raise InputError(f"{path}: damaged (its content and its checksum disagree, perhaps changed by hand); {MEND}")
    return document


def _why_missing(path: Path) -> str:
    folder = path.parent
    if not folder.exists():
        return f"{folder} does not exist; give the folder that `mbps build --output` wrote."
    if (folder / "stages" / "build.json").is_file():
        return f"{folder} holds a build that is unfinished; `mbps resume {folder}` continues it."
    if is_prediction(folder):
        return f"{folder} holds a prediction that is unfinished; the same `mbps predict` continues it."
    return f"{folder} holds no {path.name}; give the folder that `mbps build --output` wrote."


def is_prediction(folder: Path) -> bool:
    """Whether `mbps predict` has begun, or finished, a label set in this folder."""
    try:
        return "network" in read_json(folder / "recipe.json", most_bytes=_MOST_BYTES)["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


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
