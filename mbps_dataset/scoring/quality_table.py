"""The score of a label set as a table of its card.

The score is that of ``quality.json`` in the label set's folder, written by `mbps eval OUTPUT --json
OUTPUT/quality.json`; the table names convention and matching, without which such numbers cannot be compared.
"""

from __future__ import annotations

import json

from mbps_dataset.errors import PublishError
from mbps_dataset.labelset.folder import LabelSetFolder


QUALITY_FILE = "quality.json"

_EVAL_AGAIN = "run `mbps eval {0} --json {0}/quality.json` again, or remove the file."


def quality_table(built: LabelSetFolder) -> str | None:
    """Markdown table of ``quality.json`` with its convention named, or None if the set was not scored.

    Raises `PublishError` if the file cannot be read or scored another build.
    """
    path = built.root / QUALITY_FILE
    if not path.is_file():
        return None
    try:
        scored = json.loads(path.read_text(encoding="utf-8"))
        splits, images, classes = scored["splits"], scored["images"], scored["classes"]
        head = f"{images} images ({', '.join(splits)}) with ground truth"
        convention = f"convention `{scored['convention']}`, matching `{scored['matching']}`"
        lines = [f"| {title} | {' | '.join(_percent(scored[key + suffix]) for key in ('pq', 'sq', 'rq'))} |"
                 for title, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff"))]  # fmt: skip
        pixels = f"mIoU {_percent(scored['miou'])}, pixel accuracy {_percent(scored['accuracy'])}."
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PublishError(f"{path}: not a score ({error!r}); {_EVAL_AGAIN.format(built.root)}") from error
    counted = sum(built.document["counts"].get(split, {"rows": 0})["rows"] for split in splits)
    if scored.get("identity", built.document["identity"]) != built.document["identity"] or images > counted:
        raise PublishError(f"{path} scored another build of this folder; {_EVAL_AGAIN.format(built.root)}")
    pairing = "" if scored["matching"] == "none" else " Pseudo-classes were paired with classes for scoring only."
    return "\n".join([f"{head}, {classes} classes; {convention}; in percent.{pairing}", "", "| | PQ | SQ | RQ |",
                      "|---|---|---|---|", *lines, "", pixels])  # fmt: skip


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{100 * value:.2f}"
