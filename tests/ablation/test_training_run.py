"""Table 7c trains each row once, from where it says, and measures all on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.ablation.training_rows import TrainingRow
from mbps_dataset.ablation.training_run import run_training_table
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.models.panoptic.record import LearnedFrom
from mbps_dataset.training.panoptic.log import read_log
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from tests.scoring.test_while_training import held
from tests.training.panoptic.tiny_network import samples


CAR_AND_ROAD = (13, 0)
SETTINGS = PanopticTrainingSettings(steps=2, batch_size=2, crop=(32, 64))
ROWS = (
    TrainingRow("first", SETTINGS, {"unknown_is_empty": True}, 24.1),
    TrainingRow("second", SETTINGS),
    TrainingRow("third", SETTINGS, goes_on="second"),
)


def found(things: int, false: int, missed: int, *, classes: tuple[int, int]) -> PanopticQuality:
    """Of one image, in which `things` true things were found, `false` predicted and `missed`; `classes` of things, rest."""
    predicted, true = np.zeros((1, 30), np.int64), np.zeros((1, 30), np.int64)
    for k in range(things):
        predicted[0, k] = true[0, k] = k + 1
    predicted[0, 10 : 10 + false] = np.arange(100, 100 + false)
    true[0, 20 : 20 + missed] = np.arange(200, 200 + missed)
    thing, rest = classes
    of_19 = classes == CAR_AND_ROAD
    quality = PanopticQuality(taxonomy.THINGS_19 if of_19 else [thing], taxonomy.STUFF_19 if of_19 else [rest])
    quality.update(np.where(predicted, thing, rest), predicted, np.where(true, thing, rest), true)
    return quality


class Scores:
    """Says another share of things for each network, in the order they come."""

    def __init__(self) -> None:
        self.seen: list[dict] = []

    def __call__(self, network):
        self.seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        number = len(self.seen)
        return found(number, 2, 1, classes=CAR_AND_ROAD), found(number, 2, 1, classes=(0, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, scores = tmp_path_factory.mktemp("table"), Scores()
    labelled = held(samples(3))
    assert isinstance(labelled.made_by, LearnedFrom)
    table, results = run_training_table(labelled, scores, "dense", ROWS, folder, resamples=20, show_progress=False)
    return folder, scores, table, results, labelled


def test_every_row_has_its_numbers_and_an_interval_against_the_first(run):
    _, _, table, results, _ = run
    assert table.heading == "Table 7c of CUPS" and [row.name for row in results] == ["first", "second", "third"]
    assert [row.values["found"] for row in results] == [pytest.approx(k / (k + 1)) for k in (1, 2, 3)]
    assert [row.values["false_things"] for row in results] == [2, 2, 2]
    assert results[0].published == {"pq": 24.1} and results[1].published == {}
    assert all("delta_pq" in row.intervals for row in results)


def test_a_row_goes_on_from_the_one_it_names(run):
    folder, scores, *_ = run
    assert [len(read_log(folder / f"row-{k}" / "log.jsonl")) for k in range(3)] == [1, 1, 1]
    first, second, third = scores.seen
    moved = {
        name: float((third[name] - second[name]).abs().max())
        for name in second
        if "running" not in name and second[name].is_floating_point()
    }
    apart = {name: float((first[name] - second[name]).abs().max()) for name in moved}
    assert 0 < max(moved.values()) < 0.01 and max(apart.values()) > 0


def test_the_same_call_trains_nothing_again(run):
    folder, scores, table, _, labelled = run
    again = Scores()
    run_training_table(labelled, again, "dense", ROWS, folder, resamples=20, show_progress=False)
    for before, now in zip(scores.seen, again.seen, strict=True):
        assert all((before[name] == now[name]).all() for name in before)
