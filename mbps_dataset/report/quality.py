"""The quality of a split for the report page: the score that lies beside the label set, or one taken now.

``quality.json`` counts only if it is of this build and this split. A label set without ground truth has no quality, and
one whose truth has moved has none that is known here: the page says which (ours).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.report.originals import Originals
from mbps_dataset.scoring.quality_table import QUALITY_FILE
from mbps_dataset.scoring.score import score


def split_quality(
    built: LabelSetFolder, split: str, originals: Originals, truth: Path | None = None, *, progress: bool = False
) -> Mapping[str, Any] | None:
    """The score of a split as `Score.to_dict` gives it, class ids as integers; None where no truth can be reached.

    `truth` is scored against in place of that of the `originals`. Raises `InputError` if there is truth, but not one
    image of it can be scored.
    """
    found = _beside(built, split) if truth is None else None
    if found is None and not originals.has_truth:
        return None
    if found is None:
        found = score(
            built.root, truth, splits=(split,), missing="skip", source=originals.source, progress=progress
        ).to_dict()
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
