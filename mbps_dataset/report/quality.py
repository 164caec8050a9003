"""The quality of a split for the report page: the score that lies beside the label set, or one taken now.

``quality.json`` counts only if it is of this build and this split. A label set without ground truth has no quality, and
the page says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mbps_dataset.errors import InputError
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.scoring.quality_table import QUALITY_FILE
from mbps_dataset.scoring.score import score


def split_quality(built: LabelSetFolder, split: str, *, progress: bool = False) -> Mapping[str, Any] | None:
    """The score of a split as `Score.to_dict` gives it, class ids as integers; None where there is no truth."""
    found = _beside(built, split)
    if found is None:
        try:
            found = score(built.root, splits=(split,), progress=progress).to_dict()
        except InputError:  # no truth, or it has moved
            return None
    for key in ("per_class", "assignment", "semantic_assignment"):
        found[key] = {int(class_id): value for class_id, value in found[key].items()}
    return found


def _beside(built: LabelSetFolder, split: str) -> dict[str, Any] | None:
    try:
        found = json.loads((built.root / QUALITY_FILE).read_text(encoding="utf-8"))
        fits = found["identity"] == built.document["identity"] and found["splits"] == [split]
        return found if fits and len(found["per_class"]) == 19 and "assignment" in found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
