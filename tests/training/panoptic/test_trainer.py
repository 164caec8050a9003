"""One seed gives one result however often it is interrupted; what cannot go on stops by step and name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mbps_dataset.errors import InputError, StoreError, TrainingError
from mbps_dataset.training.panoptic.log import read_log
from mbps_dataset.training.panoptic.samples import PanopticSample
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.trainer import Records, Training, measure_step, train_panoptic
from tests.examples import is_night
from tests.training.panoptic.tiny_network import TinyPanoptic, samples


SHORT = PanopticTrainingSettings(steps=9, batch_size=2, crop=(16, 32), learning_rate=0.02)


class Killed(Exception):
    """Plays the kill."""


class Interrupted(Sequence[PanopticSample]):
    """Samples whose reading ends a run after so many of them."""

    def __init__(self, held: Sequence[PanopticSample], after: int) -> None:
        self.held, self.left = held, after

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return self.held[index]


def fresh() -> TinyPanoptic:
    torch.manual_seed(0)
    return TinyPanoptic()


def trained(held=None, settings=SHORT, folder: Path | None = None, **records) -> dict[str, torch.Tensor]:
    network = fresh()
    records = {"show_progress": False, "checkpoint_every": 2, "folder": folder} | records
    train_panoptic(network, samples(4) if held is None else held, settings, records=Records(**records))
    return network.state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


def test_one_seed_gives_one_result() -> None:
    once = trained()
    assert equal(once, trained()) and not equal(once, trained(settings=replace(SHORT, seed=1)))
    assert not equal(once, fresh().state_dict())


@pytest.mark.parametrize("reads", [1, 7, 12, *((0, 2, 4, 5, 9, 10, 14, 17) if is_night() else ())])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, reads: int) -> None:
    evaluated = {"evaluate": lambda network: {"random": float(torch.rand(()))}, "evaluate_every": 3}
    whole = trained()
    with pytest.raises(Killed):
        trained(Interrupted(samples(4), reads), folder=tmp_path, **evaluated)
    assert equal(trained(folder=tmp_path, **evaluated), whole)
    told = [entry["step"] for entry in read_log(tmp_path / "log.jsonl") if "loss" in entry]
    assert told == [2, 4, 6, 8, 9]
    assert equal(trained(folder=tmp_path, **evaluated), whole)  # a third time there is nothing left to do


@pytest.mark.nightly
@pytest.mark.parametrize("wait_s", [0.0, 0.2, 0.5, 1.0])
def test_a_process_that_is_really_killed_goes_on_to_the_same_weights(tmp_path: Path, wait_s: float) -> None:
    code = (
        "from tests.training.panoptic.test_trainer import *\nimport pathlib, torch\n"
        f"torch.save(trained(settings=replace(SHORT, steps=60), folder=pathlib.Path({str(tmp_path)!r})), "
        f"{str(tmp_path / 'end.pt')!r})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while not (tmp_path / "checkpoints/panoptic.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert equal(torch.load(tmp_path / "end.pt", weights_only=True), trained(settings=replace(SHORT, steps=60)))


TOGETHER = """
import sys
from pathlib import Path
import pytest, torch
from mbps_dataset.training.processes import Processes
from tests.training.panoptic.test_trainer import *

torch.set_num_threads(1)
folder, processes = Path(sys.argv[1]), Processes.started()


def both(held, name):
    torch.manual_seed(1 + processes.rank)  # other first weights in every process: they must be made equal
    network = TinyPanoptic()
    records = Records(folder / name, 2, show_progress=False)
    train_panoptic(network, held, replace(SHORT, batch_size=4), records=records, processes=processes)
    torch.save(network.state_dict(), folder / f"{name}_{processes.rank}.pt")


both(samples(4), "whole")
with pytest.raises(Killed):
    both(Interrupted(samples(4), 10), "killed")
both(samples(4), "killed")
"""


@pytest.mark.nightly
def test_two_processes_learn_the_same_network_and_continue_where_they_stopped(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="several processes need accelerate")
    from tests.training.test_processes import run_together

    run_together(TOGETHER, tmp_path, 2)
    states = {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}
    assert len(states) == 4
    for rank in (0, 1):
        assert equal(states[f"whole_{rank}"], states[f"killed_{rank}"])
    learned = [name for name, _ in TinyPanoptic().named_parameters()]
    assert all(torch.equal(states["whole_0"][name], states["whole_1"][name]) for name in learned)


def test_a_network_learns_what_it_is_shown() -> None:
    network = fresh()
    learned = train_panoptic(
        network,
        samples(4),
        replace(SHORT, steps=60, batch_size=4, crop=(), appearance="none"),
        records=Records(show_progress=False),
    )
    assert learned["classes"] < 0.4 and not network.training
    found = network.predict(samples(1)[0].image[None].float() / 255)[0]
    assert [segment.class_id for segment in found.panoptic.segments].count(1) >= 2


def test_a_checkpoint_of_another_set_or_other_settings_is_refused(tmp_path: Path) -> None:
    trained(folder=tmp_path, data="a")
    with pytest.raises(StoreError, match="data was a and is b"):
        trained(folder=tmp_path, data="b")
    with pytest.raises(StoreError, match="learning_rate was 0.02 and is 0.01"):
        trained(folder=tmp_path, data="a", settings=replace(SHORT, learning_rate=0.01))
    with pytest.raises(StoreError, match="images was 4 and is 3"):
        trained(samples(3), folder=tmp_path, data="a")


def test_weights_of_some_steps_are_kept_and_can_be_loaded(tmp_path: Path) -> None:
    trained(folder=tmp_path, keep_every=4)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-000004", "step-000008"]
    loaded = TinyPanoptic.from_pretrained(tmp_path / "checkpoints/step-000004")
    assert not equal(loaded.state_dict(), fresh().state_dict())
    assert (tmp_path / "curve.png").stat().st_size > 1000


class Diverging(TinyPanoptic):
    def losses(self, images, targets):
        losses = super().losses(images, targets)
        self.seen = getattr(self, "seen", 0) + 1
        return losses | {"things": losses["things"] * (float("nan") if self.seen == 6 else 1.0)}


def test_a_loss_that_is_not_finite_stops_the_training_before_the_weights_see_it(tmp_path: Path) -> None:
    network = Diverging()
    with pytest.raises(TrainingError, match=r"Step 5: the loss `things` is nan; .* last checkpoint is kept"):
        train_panoptic(network, samples(4), SHORT, records=Records(tmp_path, 2, show_progress=False))
    assert all(tensor.isfinite().all() for tensor in network.parameters())
    stored = torch.load(tmp_path / "checkpoints/panoptic.pt", weights_only=True)
    assert stored["step"] == 4


class Exploding(TinyPanoptic):
    def losses(self, images, targets):
        losses = super().losses(images, targets)
        return losses | {"things": (self.things.weight.sum() * 0).sqrt() * 0 + losses["things"]}


def test_a_gradient_that_is_not_finite_stops_it_too() -> None:
    with pytest.raises(TrainingError, match="Step 0: the gradient is nan"):
        train_panoptic(Exploding(), samples(4), SHORT, records=Records(show_progress=False))


class Hungry(TinyPanoptic):
    most = 2

    def losses(self, images, targets):
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().losses(images, targets)


@pytest.mark.parametrize(("most", "said"), [
    (2, "no memory on cpu for a batch of 9; one of 2 fits here: --batch-size 2."),
    (0, "no memory on cpu even for a batch of 1 at 16 x 32 pixels"),
])  # fmt: skip
def test_a_device_without_memory_is_told_with_the_batch_that_fits(most: int, said: str) -> None:
    network = Hungry()
    network.most = most
    with pytest.raises(TrainingError, match=said):
        train_panoptic(network, samples(4), replace(SHORT, batch_size=9), records=Records(show_progress=False))


class Broken(TinyPanoptic):
    def losses(self, images, targets):
        raise RuntimeError("shapes differ")


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        train_panoptic(Broken(), samples(4), SHORT, records=Records(show_progress=False))


def test_a_full_disk_stops_it_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: object, file: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc] . No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StoreError, match=r"panoptic.pt: cannot be written .*free some space"):
        trained(folder=tmp_path)


def test_frozen_tensors_stay_as_they_are_with_their_statistics() -> None:
    before, after = fresh().state_dict(), trained(settings=replace(SHORT, frozen=("stem",)))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classes", "things"}
    with pytest.raises(InputError, match="frozen = stem, classes, things leaves no tensor to train"):
        trained(settings=replace(SHORT, frozen=("stem", "classes", "things")))


def test_what_trains_can_be_named_by_its_part() -> None:
    from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic

    sizes = {"widths": (4, 4, 4, 4, 4), "blocks": (1, 1, 1, 1), "decoder_width": 4}
    dense = DensePanoptic(DenseConfig(class_names=("road", "car", "sky"), thing_ids=(1,), **sizes))
    parts = {}
    for trained_part in ("all", "heads", "self-training"):
        Training(dense, samples(2), replace(SHORT, trained=trained_part))
        parts[trained_part] = {name.split(".")[0] for name, each in dense.named_parameters() if each.requires_grad}
    assert "encoder" in parts["all"] and not {"encoder", "decoder"} & parts["heads"]
    assert parts["self-training"] == {"class_head", "centre_head", "offset_head"}
    with pytest.raises(InputError, match="trained = heads: No backbone is known"):
        Training(fresh(), samples(2), replace(SHORT, trained="heads"))


def test_self_training_looks_at_no_label_of_the_set(tmp_path: Path) -> None:
    settings = replace(SHORT, average_decay=0.9, self_labels_after=3, teacher_scales=(1.0,), teacher_score=0.1)
    lying = samples(4)
    reads = 0

    class Lying(Sequence):
        """Labels that are turned upside down once the teacher labels."""

        def __len__(self):
            return len(lying)

        def __getitem__(self, index):
            nonlocal reads
            reads += 1
            one = lying[index]
            return one if reads <= 6 else replace(one, semantic=one.semantic.flip(0), class_ids=one.class_ids * 0)

    whole = trained(settings=settings)
    assert not equal(whole, trained(settings=replace(settings, self_labels_after=0)))
    assert equal(trained(Lying(), settings), whole) and reads > 6


def test_a_round_begins_with_the_network_as_teacher() -> None:
    settings = replace(
        SHORT, average_decay=0.9999, self_labels_after=1, rounds=2, teacher_scales=(1.0,), teacher_score=0.1
    )
    training = Training(fresh(), samples(2), settings)
    for step in range(5):
        training.step(step)
    assert not torch.equal(training.average.classes.weight, training.network.classes.weight)
    before = training.network.classes.weight.detach().clone()
    training.step(5)  # the second of two rounds of four steps
    assert torch.allclose(training.average.classes.weight, before, atol=1e-5)


def test_images_without_things_can_be_left_out() -> None:
    one, empty = samples(2)
    empty = replace(empty, instance=torch.zeros_like(empty.instance), class_ids=torch.zeros(0, dtype=torch.long))
    some = replace(SHORT, images_without_things=False)
    assert Training(fresh(), [empty, one], some).chosen == [1] and Training(fresh(), [empty, one], SHORT).chosen == [
        0,
        1,
    ]
    with pytest.raises(InputError, match="No image of the set has a thing"):
        Training(fresh(), [empty], some)
    with pytest.raises(InputError, match="no image to train on"):
        Training(fresh(), [], SHORT)


def test_all_void_is_nothing_to_learn_and_stays_finite() -> None:
    blank = [replace(each, semantic=torch.full_like(each.semantic, 255)) for each in samples(2)]
    told = Training(fresh(), blank, SHORT).step(0)
    assert told["loss"] == 0


def test_the_average_of_the_weights_is_the_result_and_goes_on_too(tmp_path: Path) -> None:
    settings = replace(SHORT, average_decay=0.9, copy_paste=True, copy_paste_side=2, self_enhanced_after=4)
    whole = trained(settings=settings)
    last = trained(settings=replace(settings, average_decay=0.0))
    assert torch.equal(whole["stem.1.running_mean"], last["stem.1.running_mean"])
    assert not torch.equal(whole["classes.weight"], last["classes.weight"])
    with pytest.raises(Killed):
        trained(Interrupted(samples(4), 11), settings, tmp_path)
    assert equal(trained(settings=settings, folder=tmp_path), whole)


def test_the_schedules() -> None:
    for schedule, last in (("cosine", 0.01), ("constant", 1.0)):
        training = Training(fresh(), samples(2), replace(SHORT, steps=20, schedule=schedule, warm_up_share=0.2))
        rates = []
        for step in range(20):
            training.step(step)
            rates.append(training.learning_rate / SHORT.learning_rate)
        assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0]) and rates[-1] == pytest.approx(last, abs=0.03)


def test_bfloat16_is_taken_where_it_is_asked_for() -> None:
    halves = [
        Training(fresh(), samples(2), replace(SHORT, precision=name)).step(0)["loss"]
        for name in ("float32", "bfloat16")
    ]
    assert halves[0] != halves[1] and halves[0] == pytest.approx(halves[1], rel=0.05)


def test_a_step_is_measured() -> None:
    cost = measure_step(fresh(), samples(2), SHORT)
    assert cost.seconds > 0 and cost.memory_bytes > 50e6
