"""The claims of docs/claims.md are what an ablation measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from builder_scripts import write_claims
from mbps_dataset.ablation.tables import choose_tables
from mbps_dataset.named_recipes import get_recipe


ROOT = Path(__file__).parents[2]


def document(value: float) -> dict:
    """Every row of every table with rising numbers from `value`."""
    tables = {}
    for table in choose_tables([], get_recipe("demo")):
        rows = [
            {"name": row.name} if row.unavailable else {"name": row.name, "pq": value + 0.001 * n, "per_class": {c: {"tp": 10 + n, "fn": 90 - n} for c in write_claims.THINGS},
             "pq_things": value - 0.001 * n, "miou": value + 0.001 * n}
            for n, row in enumerate(table.rows)
        ]  # fmt: skip
        tables[table.name] = {"rows": rows}
    return {"tables": tables}


def test_every_claim_names_rows_that_exist():
    lines = write_claims.claim_lines(document(0.2))
    assert len(lines) == 2 + len(write_claims.CLAIMS) + 2
    assert lines[2] == (
        "| Depth splitting beats connected components, PQ^Th | 11.7 > 8.7 | 20.00 > 19.80, holds | 20.00 > 19.90, holds |"
    )
    assert "20.00 < 20.10, **does not hold** | – |" in lines[6]


def test_what_limits_is_said_in_numbers():
    text = write_claims.what_limits(document(0.2))
    assert text.startswith("The demo finds 80 of 800 things, 96 without depth splitting")
    assert "from PQ 20.0 to 20.0, true depth alone to 20.9." in text
    assert (
        "On true class maps 88 (11) things (cars) of 800 (100) are found as connected components, 80 (10) by" in text
    )


def test_equal_and_undefined_numbers_are_said():
    same = document(0.2)
    for table in same["tables"].values():
        for row in table["rows"]:
            row["pq_things"] = 0.2
    for row in same["tables"]["7"]["rows"]:
        row["pq"] = None
    lines = write_claims.claim_lines(same)
    assert "20.00 = 20.00, no difference" in lines[2] and lines[6].endswith("| – | – |")


def test_the_block_between_the_marks_is_replaced(tmp_path, monkeypatch):
    page = tmp_path / "claims.md"
    page.write_text(f"before\n{write_claims.BEGIN}\nPLACEHOLDER\n{write_claims.END}\nafter\n")
    (tmp_path / "ablation.json").write_text(json.dumps(document(0.2)))
    (tmp_path / "ablation.md").write_text("- On scenes.\n")
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), str(page), str(tmp_path / "tables.md")])
    write_claims.main()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith(f"{write_claims.END}\nafter\n") and "PLACEHOLDER" not in text
    assert "holds" in text and "- On scenes." in (tmp_path / "tables.md").read_text()
    with pytest.raises(SystemExit, match="Expected the marks"):
        write_claims.replaced("no marks", "block")


def test_the_page_has_the_marks():
    text = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert text.count(write_claims.BEGIN) == text.count(write_claims.END) == 1
