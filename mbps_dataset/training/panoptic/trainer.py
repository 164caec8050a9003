"""The one training loop of panoptic networks: any labelled images, any network behind the seam.

Decisions made here (ours unless it says otherwise):

* AdamW, a linear warm-up, a cosine; gradients clipped to norm 1 (CUPS);
* everything random is drawn from torch's default generator under one seed, and checkpoints hold its state: on a processor
  one seed gives one result for one number of threads, interrupted or not (GPUs add in any order). Of several processes
  each draws from a stream of its own, and gradients are averaged (see `training.processes`);
* a loss or gradient that is not finite ends the training at once, by step and name, before it reaches the weights; the
  last checkpoint stays. So does a device without memory, after trying what batch would fit;
* what is measured while training (`evaluate`) leaves no trace in the weights: it runs on a copy of the random state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mbps_dataset.errors import InputError, TrainingError
from mbps_dataset.models.panoptic.network import PanopticNetwork
from mbps_dataset.training.checkpointing import ALONE, Checkpoint, seeded
from mbps_dataset.training.panoptic.batch import LabelledBatch
from mbps_dataset.training.panoptic.changes import changed_batch, self_labelled
from mbps_dataset.training.panoptic.curve import draw_curve
from mbps_dataset.training.panoptic.log import NAME, TrainingLog, read_log
from mbps_dataset.training.panoptic.moving_average import follow, teacher_of
from mbps_dataset.training.panoptic.samples import PanopticSample
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.trained_tensors import body_stays, names_that_stay
from mbps_dataset.training.panoptic.windows import Windows
from mbps_dataset.training.precision import half_precision
from mbps_dataset.training.processes import Processes
from mbps_dataset.training.progress import TrainingProgress
from mbps_dataset.training.schedules import matrices_decay, set_warm_up_and_cosine
from mbps_dataset.training.triplets import ShuffledOrder


LOG_EVERY = 10
"""Steps between two lines of the log."""

CHECKPOINT, CURVE, KEPT = "checkpoints/panoptic.pt", "curve.png", "checkpoints/step-{:06d}"

_SEEDS_APART = 1_000_003

Evaluate = Callable[[PanopticNetwork], Mapping[str, float]]


@dataclass(frozen=True)
class Records:
    """What is written while training, and how often, in steps; a `folder` of None writes nothing, 0 means never.

    `checkpoint_every` is for going on after a kill, `keep_every` keeps the weights of those steps too; `evaluate`
    measures the network every `evaluate_every` steps, and at the end. `data` says what set is learned from: a checkpoint
    of another one is refused.
    """

    folder: Path | None = None
    checkpoint_every: int = 100
    keep_every: int = 0
    evaluate: Evaluate | None = None
    evaluate_every: int = 0
    data: str = ""
    show_progress: bool = True


USUAL, NOTHING_WRITTEN = PanopticTrainingSettings(), Records()


def train_panoptic(
    network: PanopticNetwork,
    samples: Sequence[PanopticSample],
    settings: PanopticTrainingSettings = USUAL,
    *,
    records: Records = NOTHING_WRITTEN,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Train `network` in place on labelled images, and return the running means of its losses.

    `samples` are indexed, so they may be read from disk on demand. Runs on the network's device, which is left in
    evaluation mode. Raises `InputError` if no sample can be trained on, `TrainingError` if it cannot go on, `StoreError`
    if the folder cannot be written or its checkpoint is of other settings.
    """
    with seeded(settings.seed + _SEEDS_APART * processes.rank):
        training = Training(network, samples, settings, processes)
        smoothed = _run(training, records)
    network.eval()
    return smoothed


def _run(training: Training, records: Records) -> dict[str, float]:
    settings, first = training.settings, training.processes.rank == 0
    folder = records.folder if first else None
    checkpoint = training.checkpoint(records)
    start = checkpoint.resume()
    log = TrainingLog(None if folder is None else folder / NAME, start=start)
    show = records.show_progress and first
    means = _Means()
    with TrainingProgress("panoptic", start=start, stop=settings.steps, show=show) as progress:
        for step in progress:
            told = training.step(step)
            progress.report({name: value for name, value in told.items() if name != "gradient"})
            means.add(told)
            done, last = step + 1, step + 1 == settings.steps
            if done % LOG_EVERY == 0 or last or done % records.checkpoint_every == 0:
                log.write({"step": done, **means.taken(settings.batch_size), "learning_rate": training.learning_rate})
            due = last or (records.evaluate_every and done % records.evaluate_every == 0)
            if first and due and records.evaluate is not None:
                measured = training.measured(records.evaluate)
                log.write({"step": done, "validation": measured})
                progress.tell(f"step {done}: " + ", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
            if folder is not None and records.keep_every and done % records.keep_every == 0:
                training.result().save_pretrained(folder / KEPT.format(done))
            if last or done % records.checkpoint_every == 0:
                checkpoint.save(done)
                if folder is not None:
                    draw_curve(read_log(folder / NAME), folder / CURVE)
    training.network.load_state_dict(training.result().state_dict())
    return progress.smoothed


class Training:
    """A network, its optimiser and the order of the images, a step at a time; `train_panoptic` is the loop around it."""

    def __init__(
        self,
        network: PanopticNetwork,
        samples: Sequence[PanopticSample],
        settings: PanopticTrainingSettings,
        processes: Processes = ALONE,
    ) -> None:
        self.network, self.settings, self.processes = network, settings, processes
        self.count = processes.share(settings.batch_size)
        self.chosen = _chosen(samples, settings)
        self.order, self.windows = ShuffledOrder(len(self.chosen)), Windows(samples, settings)
        self.device = next(network.parameters()).device
        for tensor in network.state_dict().values():
            tensor.copy_(processes.from_first(tensor))
        self.learned = _set_what_trains(network, settings)
        groups = matrices_decay([network], settings.weight_decay)
        groups = [group | {"params": [p for p in group["params"] if p.requires_grad]} for group in groups]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.average = teacher_of(network) if settings.average_decay else None

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def checkpoint(self, records: Records) -> Checkpoint:
        """Where the state of this training lies."""
        plain = {
            key: repr(value) if isinstance(value, tuple) else value for key, value in asdict(self.settings).items()
        }
        return Checkpoint(
            None if records.folder is None else records.folder / CHECKPOINT,
            settings=plain | {"data": records.data, "images": len(self.chosen)},
            every=records.checkpoint_every,
            processes=self.processes,
            network=self.network,
            optimiser=self.optimiser,
            order=self.order,
            **({} if self.average is None else {"average": self.average}),
        )

    def result(self) -> PanopticNetwork:
        """What would be the outcome now: the moving average with the network's own statistics, or the network itself."""
        if self.average is None:
            return self.network
        for own, theirs in zip(self.average.buffers(), self.network.buffers(), strict=True):
            own.copy_(theirs)
        return self.average

    def step(self, step: int) -> dict[str, float]:
        """One step, 0-based: its losses by name, their sum as "loss", and the norm of its gradient as "gradient".

        Raises `TrainingError` if one of them is not finite, or the device has no memory for it.
        """
        batch = self._batch(step)
        try:
            return self._descend(step, batch)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        raise TrainingError(self._what_fits(step, batch))  # outside of the handler, whose traceback holds the tensors

    def measured(self, evaluate: Evaluate) -> dict[str, float]:
        """What `evaluate` says of the network in evaluation mode; the random state stays as it was."""
        with torch.random.fork_rng(), torch.no_grad():
            return dict(evaluate(self.result().eval()))

    def _batch(self, step: int) -> LabelledBatch:
        batch = self.windows.batch([self.chosen[k] for k in self.order.take(self.count)])
        self.windows.look_ahead([self.chosen[k] for k in self.order.waiting[: self.count].tolist()])
        if self.average is not None and self.settings.begins_round(step):
            self.average.load_state_dict(self.network.state_dict())
        if self.settings.self_labels_after and step >= self.settings.self_labels_after:
            batch = self_labelled(batch, self.result(), self.settings)
        return changed_batch(batch, step, self.network, self.settings)

    def _descend(self, step: int, batch: LabelledBatch) -> dict[str, float]:
        settings = self.settings
        losses = self._losses(batch)
        told = self._told(losses)
        _require_finite(step, told)
        self.optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.processes.average_gradients(self.learned)
        norm = nn.utils.clip_grad_norm_(self.learned, settings.clip_norm or float("inf"))
        told["gradient"] = float(norm)
        _require_finite(step, told)
        _set_learning_rate(self.optimiser, step, settings)
        self.optimiser.step()
        if self.average is not None:
            follow(self.average, self.network, settings.average_decay)
        return told

    def _losses(self, batch: LabelledBatch) -> dict[str, Tensor]:
        self.network.train()
        for module in self.network.modules():  # what is frozen keeps its statistics too
            if (own := list(module.parameters())) and not any(parameter.requires_grad for parameter in own):
                module.eval()
        targets = [target.to(self.device) for target in batch.targets]
        with _autocast(self.settings.precision, self.device):
            losses = self.network.losses(batch.images.to(self.device), targets)
        return {name: loss.float() for name, loss in losses.items()}

    def _told(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """The losses as numbers, means over all processes, so that all of them stop if one has to."""
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        own = dict(zip(losses, values)) | {"loss": sum(values)}
        all_told = self.processes.gathered(own)
        return {name: sum(each[name] for each in all_told) / len(all_told) for name in ("loss", *losses)}

    def _what_fits(self, step: int, batch: LabelledBatch) -> str:
        """The message for a device that has no memory for a batch, with the largest one that was found to fit."""
        size = len(batch.targets)
        while size > 1:
            size //= 2
            self.optimiser.zero_grad()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if self._fits(LabelledBatch(batch.images[:size], batch.targets[:size])):
                fitting = size * self.processes.count
                return (
                    f"Step {step}: no memory on {self.device} for a batch of {self.settings.batch_size}; one of {fitting} "
                    f"fits here: --batch-size {fitting}."
                )
        height, width = batch.images.shape[-2:]
        return (
            f"Step {step}: no memory on {self.device} even for a batch of 1 at {height} x {width} pixels; set a smaller "
            "crop, or take a smaller network."
        )

    def _fits(self, batch: LabelledBatch) -> bool:
        try:
            torch.stack(list(self._losses(batch).values())).sum().backward()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return False
        return True


@dataclass(frozen=True)
class StepCost:
    """What a step takes: seconds, and the largest memory of the process on the device, in bytes."""

    seconds: float
    memory_bytes: int


def measure_step(
    network: PanopticNetwork,
    samples: Sequence[PanopticSample],
    settings: PanopticTrainingSettings,
    processes: Processes = ALONE,
) -> StepCost:
    """Train one step to warm up and one to measure; nothing is written, but the network is no longer what it was."""
    with seeded(settings.seed + _SEEDS_APART * processes.rank):
        training = Training(network, samples, settings, processes)
        training.step(0)
        start = time.perf_counter()
        training.step(1)
        seconds = time.perf_counter() - start
    if training.device.type == "cuda":
        return StepCost(seconds, torch.cuda.max_memory_allocated(training.device))
    return StepCost(seconds, _largest_memory_of_process())


def _largest_memory_of_process() -> int:
    import resource
    import sys

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


class _Means:
    """Means of what steps told since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps, self._since = 0, time.perf_counter()

    def add(self, told: Mapping[str, float]) -> None:
        for name, value in told.items():
            largest = name == "gradient"
            before = self._sums.get(name, 0.0)
            self._sums[name] = max(before, value) if largest else before + value
        self._steps += 1

    def taken(self, batch_size: int) -> dict[str, Any]:
        """``loss``, its parts as ``losses``, the largest ``gradient`` and ``images_per_second``."""
        now, steps = time.perf_counter(), self._steps
        means = {name: value if name == "gradient" else value / steps for name, value in self._sums.items()}
        loss, gradient = means.pop("loss"), means.pop("gradient")
        speed = steps * batch_size / max(now - self._since, 1e-9)
        self._sums, self._steps, self._since = {}, 0, now
        return {"loss": loss, "losses": means, "gradient": gradient, "images_per_second": round(speed, 2)}


def _set_what_trains(network: PanopticNetwork, settings: PanopticTrainingSettings) -> list[nn.Parameter]:
    """Let gradients flow to the tensors that the settings name, and return them. Raises `InputError` if there is none."""
    named = dict(network.named_parameters())
    staying = {"heads": body_stays, "self-training": names_that_stay}.get(settings.trained)
    try:
        frozen = set() if staying is None else {*staying(named)}
    except ValueError as error:
        raise InputError(f"trained = {settings.trained}: {error}") from None
    for name, parameter in named.items():
        parameter.requires_grad_(name not in frozen and not name.startswith(settings.frozen or ("\0",)))
    if not (learned := [parameter for parameter in named.values() if parameter.requires_grad]):
        raise InputError(f"frozen = {', '.join(settings.frozen)} leaves no tensor to train.")
    return learned


def _chosen(samples: Sequence[PanopticSample], settings: PanopticTrainingSettings) -> list[int]:
    """Indices of the samples to train on. Raises `InputError` if there is none."""
    if not len(samples):
        raise InputError("The set holds no image to train on.")
    if settings.images_without_things:
        return list(range(len(samples)))
    find = getattr(samples, "with_things", None)  # a set on disk knows it without decoding a picture
    chosen = list(find()) if find else [k for k in range(len(samples)) if len(samples[k].class_ids)]
    if not chosen:
        raise InputError("No image of the set has a thing, and images without things are left out.")
    return chosen


def _require_finite(step: int, told: Mapping[str, float]) -> None:
    for name, value in told.items():
        if name != "loss" and not abs(value) < float("inf"):
            what = "the gradient" if name == "gradient" else f"the loss `{name}`"
            raise TrainingError(
                f"Step {step}: {what} is {value}; nothing of this step was learned, and the last checkpoint is kept. Try a "
                "lower learning rate, or float32, in a new folder."
            )


def _set_learning_rate(optimiser: torch.optim.Optimizer, step: int, settings: PanopticTrainingSettings) -> None:
    if settings.schedule == "cosine":
        set_warm_up_and_cosine(
            optimiser, settings.learning_rate, step, settings.steps, warm_up_share=settings.warm_up_share
        )
        return
    warm_up = max(1, round(settings.warm_up_share * settings.steps))
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * min(1.0, (step + 1) / warm_up)


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    if precision == "auto":
        return half_precision(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the machine itself, had no memory: torch has an error for the first only."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
