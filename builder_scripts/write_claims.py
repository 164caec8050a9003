"""Put the numbers of an ablation into the documentation: each claim of the report, and what this package measures.

    mbps ablate --recipe demo --output build/ablation
    python builder_scripts/write_claims.py build/ablation docs/claims.md docs/ablation.md

Replaces what stands between the two marks in the first page, and writes all tables to the second. A claim holds if the
printed numbers, two decimals, are in the order it says; how sure that is on so few images is another question.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbps_dataset import taxonomy


THINGS = [taxonomy.NAMES_19[class_id] for class_id in taxonomy.THINGS_19]
BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"


@dataclass(frozen=True)
class Claim:
    """`better` and `worse` are rows of `table`, compared in `value`; `true_maps` if Table true-maps has both rows."""

    text: str
    report: str
    table: str
    better: str
    worse: str
    value: str = "pq_things"
    true_maps: bool = False


FULL, CC_ONLY = "Full pipeline", "− Depth splitting (CC only)"
CLAIMS = (
    Claim("Depth splitting beats connected components, PQ^Th", "11.7 > 8.7", "4", FULL, CC_ONLY, true_maps=True),
    Claim("Connected components beat MaskCut, PQ^Th", "8.7 > 1.9", "4", CC_ONLY, "Replace depth inst. w/ MaskCut",
          true_maps=True),
    Claim("A smallest area helps, PQ^Th", "11.7 > 6.3", "4", FULL, "− Min-area filter (A_min = 0)", true_maps=True),
    Claim("Growing back over the edge helps, PQ^Th", "11.7 > 9.3", "4", FULL, "− Boundary dilation", true_maps=True),
    Claim("The attention split beats the true split, PQ", "23.1 > 22.1", "7", "CLS attention", "Oracle GT split", "pq"),
    Claim("The CRF helps, mIoU", "42.86 > 40.44", "8", "sigma_xy = 67, sigma_rgb = 3", "No CRF", "miou"),
    Claim("Merging by depth helps, PQ", "+0.1 to +0.3", "merging", "Merging on (delta < 0.05)", "Merging off", "pq"),
    Claim("A component fallback behind masks does harm, PQ^Th", "11.0 > 5.9", "hybrid", "∞ (no CC)", "10"),
)  # fmt: skip


def main() -> None:
    folder, claims, tables = (Path(argument) for argument in sys.argv[1:4])
    document = json.loads((folder / "ablation.json").read_text(encoding="utf-8"))
    claims.write_text(replaced(claims.read_text(encoding="utf-8"), "\n".join(claim_lines(document))), encoding="utf-8")
    title = "# Ablation of the demo\n\n`mbps ablate --recipe demo --output build/ablation` printed:\n\n"
    tables.write_text(title + (folder / "ablation.md").read_text(encoding="utf-8").rstrip() + "\n", encoding="utf-8")


def replaced(text: str, block: str) -> str:
    """`text` with `block` between its marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"Expected the marks {BEGIN} and {END} once each.")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}"


def claim_lines(document: Mapping[str, Any]) -> list[str]:
    """A table of all claims: the report's numbers, the demo's, and those on true class maps."""
    lines = ["| claim | report | demo | on true class maps and split |", "|---|---|---|---|"]
    for claim in CLAIMS:
        demo = _cell(document, claim.table, claim)
        true = _cell(document, "true-maps", claim) if claim.true_maps else "–"
        lines.append(f"| {claim.text} | {claim.report} | {demo} | {true} |")
    return [*lines, "", what_limits(document)]


def what_limits(document: Mapping[str, Any]) -> str:
    """What the comparisons rest on, and how far true class maps and true depth carry, in things and cars found."""
    plain, true = (_rows(document, table) for table in ("4", "true-maps"))
    names = (CC_ONLY, FULL, "True depth", "True depth, tau = 0.02")
    found = [f"{_found(true[name], THINGS)} ({_found(true[name], ['car'])})" for name in names]
    total, cars = (_found(true[FULL], of) + _found(true[FULL], of, "fn") for of in (THINGS, ["car"]))
    return (
        f"The demo finds {_found(plain[FULL], THINGS)} of {total} things, {_found(plain[CC_ONLY], THINGS)} "
        "without depth splitting: its comparisons of PQ^Th rest on single objects. True class maps take it from PQ "
        f"{100 * plain[FULL]['pq']:.1f} to {100 * true[FULL]['pq']:.1f}, true depth alone to "
        f"{100 * plain['True depth']['pq']:.1f}.\n"
        f"On true class maps {found[0]} things (cars) of {total} ({cars}) are found as connected components, {found[1]} "
        f"by depth splitting, {found[2]} with true depth, {found[3]} with true depth at tau = 0.02."
    )


def _found(row: Mapping[str, Any], classes: Sequence[str], count: str = "tp") -> int:
    return sum(row["per_class"][name][count] for name in classes)


def _rows(document: Mapping[str, Any], table: str) -> dict[str, Any]:
    return {row["name"]: row for row in document["tables"][table]["rows"]}


def _cell(document: Mapping[str, Any], table: str, claim: Claim) -> str:
    rows = _rows(document, table)
    better, worse = (rows[name].get(claim.value) for name in (claim.better, claim.worse))
    if better is None or worse is None:
        return "–"
    first, second = round(100 * better, 2), round(100 * worse, 2)
    if first == second:
        return f"{first:.2f} = {second:.2f}, no difference"
    return f"{first:.2f} > {second:.2f}, holds" if first > second else f"{first:.2f} < {second:.2f}, **does not hold**"


if __name__ == "__main__":
    main()
