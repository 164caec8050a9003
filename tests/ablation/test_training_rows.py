"""Every row of Table 7c adds its component to those of the row before, and nothing else."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from mbps_dataset.ablation.training_rows import training_rows
from mbps_dataset.models.panoptic.starting import KINDS, configuration_of
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings


SETTINGS = PanopticTrainingSettings(steps=80, learning_rate=2e-3, batch_size=3)


def changed(first, second) -> set[str]:
    one, other = asdict(first), asdict(second)
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_row_adds_one_component(kind):
    vanilla, aware, pasted, enhanced, taught, longer = training_rows(kind, SETTINGS)
    assert vanilla.settings == aware.settings == SETTINGS
    assert vanilla.network != aware.network
    assert changed(aware.settings, pasted.settings) == {"copy_paste"}
    assert changed(pasted.settings, enhanced.settings) == {"self_enhanced_after"}
    assert enhanced.settings.self_enhanced_after == 20
    assert changed(longer.settings, taught.settings) == {"self_labels_after", "average_decay", "trained"}
    assert taught.goes_on == longer.goes_on == enhanced.name
    assert longer.settings.steps == 30 and longer.settings.learning_rate == pytest.approx(2e-4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_differs_of_the_network_are_settings_that_it_has(kind):
    for row in training_rows(kind, SETTINGS):
        configuration_of(kind)(class_names=("road", "car"), thing_ids=(1,), **row.network)


def test_components_of_the_settings_given_stay_out_of_the_rows_before_theirs():
    given = PanopticTrainingSettings(steps=80, copy_paste=True, self_enhanced_after=3)
    assert training_rows("dense", given)[0].settings.copy_paste is False


def test_the_numbers_of_the_paper_stand_beside_its_rows():
    assert [row.published for row in training_rows("dense", SETTINGS)] == [24.1, 25.3, 26.3, 26.6, 27.8, None]
