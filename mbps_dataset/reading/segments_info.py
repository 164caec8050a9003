"""The list of segments that goes with a map of segment ids: what COCO, transformers and data sets call ``segments_info``.

Read strictly (ours): a number that is no integer, or an id that stands for two segments, would change a score without a
word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.reading.formatted_rows import segment_entries


@dataclass(frozen=True)
class Segment:
    """One entry of ``segments_info``; `category_id` as the form numbers them, `score` None where it gives none.

    `may_be_hidden`: transformers wrote it, where a later instance may be painted over all of an earlier one.
    """

    id: int
    category_id: int
    is_crowd: bool = False
    score: float | None = None
    may_be_hidden: bool = field(default=False, compare=False)


def listed_segments(segments: Any, where: str) -> dict[int, Segment]:
    """``segments_info`` by id, from a list of dicts or a dict of lists (a `Sequence` feature of older data sets).

    Raises `InputError`, which begins with `where`, for anything else, ids and categories that are no integers, scores
    that are no numbers, and an id that is listed twice.
    """
    found: dict[int, Segment] = {}
    for entry in segment_entries(segments, where):
        segment = _segment(entry, where)
        before = found.setdefault(segment.id, segment)
        if before is not segment and not (entry.get("was_fused") and before.category_id == segment.category_id):
            classes = f"as category {before.category_id} and as category {segment.category_id}"
            raise InputError(f"{where}: segment id {segment.id} is listed twice in `segments_info`, {classes}; give "
                             "every segment an id of its own.")  # fmt: skip
    return found


def _segment(entry: Mapping[str, Any], where: str) -> Segment:
    if entry.get("id") is None:
        raise InputError(f"{where}: a segment of `segments_info` has no `id`.")
    number = as_integer(entry["id"], f"{where}: the id of a segment")
    if number < 0:
        raise InputError(f"{where}: a segment of `segments_info` has the negative id {number}; number them from 1.")
    key = next((key for key in ("category_id", "label_id") if entry.get(key) is not None), None)
    if key is None:
        raise InputError(f"{where}: segment {number} has neither `category_id` nor `label_id`.")
    category, score = as_integer(entry[key], f"{where}: `{key}` of segment {number}"), entry.get("score")
    if score is not None:
        try:
            score = float(score)
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        if not math.isfinite(score):
            raise InputError(f"{where}: the score of segment {number} is {_shown(entry['score'])}, not a number.")
    return Segment(number, category, bool(entry.get("iscrowd")), score, "was_fused" in entry)


def as_integer(value: Any, what: str) -> int:
    """`value` as an integer if it is a whole number. Raises `InputError`, which begins with `what`, for anything else."""
    try:
        if not isinstance(value, (str, bytes, bool)) and int(value) == value and abs(int(value)) < 2**31:
            return int(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    raise InputError(f"{what} must be an integer, but is {_shown(value)}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
