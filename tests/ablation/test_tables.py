"""Tables: the report's rows, for any recipe."""

from __future__ import annotations

import pytest

from mbps_dataset.ablation.cups_tables import CUPS_TABLES
from mbps_dataset.ablation.rendering import COLUMNS
from mbps_dataset.ablation.rows import Detector
from mbps_dataset.ablation.tables import TABLES, choose_tables
from mbps_dataset.errors import InputError
from mbps_dataset.named_recipes import RECIPES, get_recipe


DEMO = get_recipe("demo")


@pytest.mark.parametrize("name", RECIPES)
def test_every_row_of_every_table_can_be_set(name):
    for table in choose_tables([], get_recipe(name), [Detector("CutLER", ("a.json",))]):
        assert set(table.columns) <= set(COLUMNS)
        assert len({row.name for row in table.rows}) == len(table.rows)
        for row in table.rows:
            assert row.unavailable or row.variants(get_recipe(name))


def test_tables_are_chosen_by_name_in_the_order_of_the_report():
    assert [table.name for table in choose_tables([], DEMO)] == list(TABLES)
    assert [table.name for table in choose_tables(["8", "4"], DEMO)] == ["4", "8"]
    known = "4, 5, 6, 7, 8, true-maps, merging, hybrid, cups, cups-5, cups-6, cups-10a, cups-10b"
    with pytest.raises(InputError, match=f"Unknown table '9'; known are {known}"):
        choose_tables(["4", "9"], DEMO)


def test_tables_of_cups_are_chosen_apart_from_the_reports():
    assert [table.name for table in choose_tables(["cups"], DEMO)] == list(CUPS_TABLES)
    assert [table.heading for table in choose_tables(["cups-10b", "cups-5"], DEMO)] == [
        "Table 5 of CUPS",
        "Table 10b of CUPS",
    ]
    with pytest.raises(InputError, match="Table 8 is the report's, which scores by other rules than CUPS does"):
        choose_tables(["cups-5", "8"], DEMO)


def test_component_rows_change_one_element_each():
    (table,) = choose_tables(["4"], DEMO)
    plain = [row for row in table.rows[1:] if not row.measurement_only and not row.unavailable]
    assert len(plain) == 5
    for row in plain:
        assert len(DEMO.differences(row.variants(DEMO)[0].recipe)) == 1, row.name


def test_the_grid_holds_the_reports_cells_and_the_recipes_own():
    changed = DEMO.with_settings(["instances.grad_threshold=0.3", "instances.min_area=77"])
    for recipe, own in ((DEMO, (0.10, 500)), (changed, (0.3, 77))):
        (table,) = choose_tables(["5"], recipe)
        cells = [row.variants(recipe)[0].recipe.instances for row in table.rows]
        cells = {(cell.grad_threshold, cell.min_area): row.name for cell, row in zip(cells, table.rows)}
        assert cells.keys() >= {(0.05, 100), (0.05, 500), (0.08, 200), (0.08, 500), (0.15, 200), (0.15, 500)}
        assert cells[own].endswith("(this recipe)")


def test_methods_that_need_networks_say_so_where_there_are_none():
    bare = DEMO.with_settings(["cuts.weights="])
    for name in ("4", "6", "hybrid"):
        (table,) = choose_tables([name], bare)
        assert any("cuts.weights" in row.unavailable for row in table.rows)
    (table,) = choose_tables(["hybrid"], bare, [Detector("CutLER", ("a.json",))])
    assert not any(row.unavailable for row in table.rows) and "CutLER" in table.title


def test_rows_with_truth_are_marked():
    (table,) = choose_tables(["true-maps"], DEMO)
    assert all(row.measurement_only for row in table.rows)
    (table,) = choose_tables(["7"], DEMO)
    assert [row.name for row in table.rows if row.measurement_only] == ["Oracle GT split"]
