"""`mbps train panoptic`: a label set in, a panoptic network out."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbps_dataset.commands.build import positive
from mbps_dataset.commands.calling import program
from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.reading.names import did_you_mean, shown
from mbps_dataset.settings import parse_setting
from mbps_dataset.source_names import source_names


if TYPE_CHECKING:
    from mbps_dataset.formats.training_set import TrainingSet
    from mbps_dataset.models.panoptic.network import PanopticNetwork
    from mbps_dataset.models.panoptic.record import LearnedFrom, TrainingRecord
    from mbps_dataset.sources import Source
    from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
    from mbps_dataset.training.panoptic.trainer import Evaluate
    from mbps_dataset.training.processes import Processes


LEARNING_RATES = {"dense": 1e-3, "mask2former": 1e-4, "cascade": 1e-4}
"""The usual one of each network, unless one is given."""

_OF_NETWORK = "network."
"""Before the settings of the network's own configuration."""

_NOT_SET = ("class_names", "thing_ids", "supervision", "licence", "network", "backbone")
"""Of a configuration: what the label set and other arguments decide."""


def add_panoptic_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", metavar="SET", help="label set: a folder, an export, or OWNER/NAME on the Hub")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR",
                        help="folder for the weights, log, curve and checkpoint; the same command continues")  # fmt: skip
    add_images_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="train these panoptic weights further, in place of --network"
    )
    parser.add_argument("--fresh-heads", action="store_true",
                        help="with --start: keep backbone and neck, and learn the classes of SET anew")  # fmt: skip
    parser.add_argument("--few", type=positive, metavar="N",
                        help="three trainings on N images each that no other has: what few labels give, with spread")  # fmt: skip
    parser.add_argument(
        "--val", metavar="SET", help="measure while training how well the labels of this set are found"
    )
    parser.add_argument("--val-truth", action="store_true",
                        help="measure against the ground truth of its images' source instead; no weight depends on it")  # fmt: skip
    parser.add_argument(
        "--val-every", type=int, default=500, metavar="N", help="steps between two measurements (default: 500)"
    )
    parser.add_argument("--checkpoint-every", type=int, default=100, metavar="N",
                        help="steps between two checkpoints, each in place of the one before (default: 100)")  # fmt: skip
    parser.add_argument(
        "--keep-every", type=int, default=0, metavar="N", help="also keep the weights of every N-th step"
    )
    parser.add_argument("--dry-run", action="store_true", help="print set, settings, memory and time; write nothing")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which network is trained, and how."""
    parser.add_argument("--network", choices=("dense", "mask2former", "cascade"), default="dense",
                        help="dense learns from nothing in minutes; mask2former and cascade (CUPS' own) are for a --backbone (default: dense)")  # fmt: skip
    parser.add_argument(
        "--backbone",
        metavar="WEIGHTS",
        help="pretrained backbone: folder or Hub id (mask2former), or DINO's ResNet-50, .pth or .pkl (cascade)",
    )
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, help="images per step; under `accelerate launch` processes share it")
    parser.add_argument("--learning-rate", type=float, help="default: 0.001 (dense), 0.0001 (others)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", dest="training_settings",
                        help="another setting of the training, such as crop=256,512 or copy_paste=true, or of the network, network.NAME=VALUE; "
                             "docs/training-settings.md lists them")  # fmt: skip
    parser.add_argument("--device", help="torch device (default: cuda where there is one, else cpu)")


def add_images_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which part of a label set is meant, and where its images lie."""
    parser.add_argument("--recipe", help="which recipe of a release")
    parser.add_argument("--revision", help="tag, branch or commit of a set on the Hub")
    parser.add_argument("--split", action="append", default=[], metavar="NAME",
                        help="split to learn from; may be repeated (default: train where there is one, else all)")  # fmt: skip
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the images of a set without them lie")
    parser.add_argument("--source", choices=tuple(name for name in source_names() if name != "scenes"),
                        help="with --data-dir: what lies there (default: guessed)")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")


def run_panoptic(arguments: argparse.Namespace) -> int:
    """Train, save, and say what was learned and how to use it."""
    from mbps_dataset.training.processes import Processes

    _require_that_all_is_used(arguments)
    settings = settings_of(arguments)
    network_settings_of(arguments)
    labelled = learned_set(arguments)
    evaluate, processes = _evaluation(arguments, labelled), Processes.started()
    if arguments.few is not None:
        return _train_on_few(arguments, labelled, settings, evaluate, processes)
    return _train(arguments, labelled, settings, evaluate, processes, arguments.output)


def _train(
    arguments: argparse.Namespace,
    labelled: TrainingSet,
    settings: PanopticTrainingSettings,
    evaluate: Evaluate | None,
    processes: Processes,
    output: Path,
) -> int:
    from mbps_dataset.hub.builder import default_device
    from mbps_dataset.models.panoptic.record import TrainingRecord
    from mbps_dataset.training.checkpointing import seeded
    from mbps_dataset.training.panoptic.trainer import Records, train_panoptic

    record = TrainingRecord(_learned_from(arguments, labelled), asdict(settings), _start(arguments))
    with seeded(settings.seed):
        network = _network(arguments, labelled, record)
    network.record = record
    network.to(processes.device or arguments.device or default_device())
    if arguments.dry_run:
        return _tell_cost(arguments, network, labelled, settings, processes)
    if processes.rank == 0:
        _require_own_folder(output)
    records = Records(
        output, arguments.checkpoint_every, arguments.keep_every, evaluate, arguments.val_every,
        _data(network, record), not arguments.quiet,
    )  # fmt: skip
    train_panoptic(network, labelled.samples, settings, records=records, processes=processes)
    if processes.rank == 0:
        _finish(output, network, record)
    return 0


def _train_on_few(
    arguments: argparse.Namespace,
    labelled: TrainingSet,
    settings: PanopticTrainingSettings,
    evaluate: Evaluate | None,
    processes: Processes,
) -> int:
    """Three trainings on as many images that no other has, and the mean and spread of what was measured (CUPS, Fig. 5)."""
    from mbps_dataset.store import write_json
    from mbps_dataset.training.panoptic.labelled_subsets import disjoint_subsets, over_subsets
    from mbps_dataset.training.panoptic.log import NAME, read_log

    scores = []
    for number, indices in enumerate(disjoint_subsets(len(labelled.samples), arguments.few, seed=settings.seed)):
        output = arguments.output / f"subset-{number}"
        made_by = replace(labelled.made_by, images=len(indices))
        subset = replace(labelled, samples=labelled.samples.chosen(indices), made_by=made_by)
        _train(arguments, subset, settings, evaluate, processes, output)
        if processes.rank == 0 and not arguments.dry_run:
            scores.append(read_log(output / NAME)[-1]["validation"])
    if scores:
        told = {name: each._asdict() for name, each in over_subsets(scores).items()}
        write_json(arguments.output / "subsets.json", {"images": arguments.few, "measured": told, "each": scores})
        for name, each in told.items():
            print(
                f"{name:12} {100 * each['mean']:.1f} ± {100 * each['deviation']:.1f} % over {len(scores)} subsets of {arguments.few} images"
            )
    return 0


def learned_set(arguments: argparse.Namespace) -> TrainingSet:
    """The set that is learned from. Raises `InputError` if it cannot be."""
    from mbps_dataset.formats.training_set import open_training_set

    labelled = open_training_set(
        arguments.label_set, recipe=arguments.recipe, revision=arguments.revision, splits=arguments.split,
        data_dir=arguments.data_dir, source=arguments.source, limit=arguments.limit,
    )  # fmt: skip
    labelled.require_trainable()
    return labelled


def measured_set(arguments: argparse.Namespace) -> tuple[TrainingSet, Callable[[], Source]]:
    """The set of ``--val``, and what opens the source of its images, which may have ground truth."""
    from mbps_dataset.formats.opening import open_label_set
    from mbps_dataset.formats.training_set import open_training_set

    same = arguments.val == arguments.label_set
    where = {"recipe": arguments.recipe, "revision": arguments.revision} if same else {}
    measured = open_training_set(
        arguments.val, data_dir=arguments.data_dir, source=arguments.source, usual="validation", **where
    )
    return measured, lambda: open_label_set(arguments.val, **where).open_source(data_dir=arguments.data_dir)


def require_use_of_backbone(arguments: argparse.Namespace) -> None:
    """Raises `InputError` for ``--backbone`` of a network that has none."""
    if arguments.backbone and arguments.network == "dense":
        raise InputError("--backbone is for --network mask2former or cascade; the dense network has none.")


def settings_of(arguments: argparse.Namespace) -> PanopticTrainingSettings:
    """The settings that the arguments describe. Raises `RecipeError` for one that does not exist or cannot be."""
    from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings

    given: dict[str, Any] = {"learning_rate": LEARNING_RATES[_kind(arguments)], "seed": arguments.seed}
    for name in ("steps", "batch_size", "learning_rate"):
        if (value := getattr(arguments, name)) is not None:
            given[name] = value
    own = [each for each in arguments.training_settings if not each.startswith(_OF_NETWORK)]
    return PanopticTrainingSettings(**given | assigned(own, PanopticTrainingSettings, ""))


def network_settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What ``--set network.SETTING=VALUE`` sets. Raises `RecipeError` for a setting that the network does not have."""
    from mbps_dataset.models.panoptic.starting import configuration_of

    given = [each for each in arguments.training_settings if each.startswith(_OF_NETWORK)]
    return assigned(given, configuration_of(_kind(arguments)), _OF_NETWORK)


def _kind(arguments: argparse.Namespace) -> str:
    """Which network it will be."""
    if not arguments.start:
        return str(arguments.network)
    from mbps_dataset.models.panoptic.loading import load_panoptic

    return str(load_panoptic(arguments.start).config.network)


def assigned(assignments: Sequence[str], declared: type, prefix: str) -> dict[str, Any]:
    """``{name: value}`` of assignments to fields of a settings dataclass, which stand behind `prefix`.

    Raises `RecipeError` for a field that does not exist or a value of another type.
    """
    hints, given = typing.get_type_hints(declared), {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        name = key.removeprefix(prefix)
        known = [field.name for field in fields(declared) if field.name not in _NOT_SET]
        if not separator or name not in known:
            raise RecipeError(
                f"Unknown setting {shown(key)}; write {prefix}SETTING=VALUE with one of {', '.join(known)}."
                + did_you_mean(name, known)
            )
        empty = text.strip().lower() == "none" and typing.get_origin(hints[name]) is tuple
        given[name] = () if empty else parse_setting(text.strip(), hints[name], key)
    return given


def _require_that_all_is_used(arguments: argparse.Namespace) -> None:
    """Raises `InputError` for an argument that another one, or its absence, leaves without effect."""
    if arguments.start and (arguments.backbone or arguments.network != "dense"):
        raise InputError("--start goes on with the network that it names; leave out --network and --backbone.")
    require_use_of_backbone(arguments)
    if arguments.fresh_heads and not arguments.start:
        raise InputError("--fresh-heads is about the weights of --start; give them too.")
    if arguments.few is not None and not arguments.val:
        raise InputError("--few says what few labels give, so it has to be measured; give --val too.")
    if arguments.val_truth and not arguments.val:
        raise InputError("--val-truth is about the set of --val; give it too.")
    if arguments.source and not arguments.data_dir:
        raise InputError("--source says what lies in --data-dir; give it too.")


def _require_own_folder(output: Path) -> None:
    """Raises `InputError` for a folder that holds something else than a training, before anything is written into it."""
    from mbps_dataset.training.panoptic.log import NAME
    from mbps_dataset.training.panoptic.trainer import CHECKPOINT

    ours = (output / NAME).is_file() or (output / CHECKPOINT).is_file()
    if output.exists() and not ours and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is not empty and holds no training; choose an empty folder.")


def _data(network: PanopticNetwork, record: TrainingRecord) -> str:
    """What a checkpoint belongs to beside its settings."""
    learned = record.learned_from
    return f"{type(network).__name__} from {record.start}, set {learned.identity[:16]}, rows {learned.rows[:16]}"


def _learned_from(arguments: argparse.Namespace, labelled: TrainingSet) -> LearnedFrom:
    """The set that is learned from, with what the weights to start from have seen before: it is in the result, too."""
    from mbps_dataset.models.panoptic.loading import load_panoptic

    made_by = labelled.made_by
    if arguments.backbone:
        name = Path(arguments.backbone).name
        seen = {**made_by.supervision, "backbone": f"unknown: the weights {name} do not say"}
        return replace(made_by, supervision=seen)
    if not arguments.start:
        return made_by
    before = load_panoptic(arguments.start)
    return replace(
        made_by,
        supervision={**made_by.supervision, "weights it started from": before.supervision},
        ground_truth_used=tuple(dict.fromkeys((*made_by.ground_truth_used, *before.ground_truth_used))),
    )


def _start(arguments: argparse.Namespace) -> str:
    """Where the weights begin, by name and content: a path of this machine says nothing elsewhere."""
    from mbps_dataset.models.panoptic.loading import panoptic_digest

    if arguments.start:
        return f"the weights {Path(arguments.start).name} sha256:{panoptic_digest(arguments.start)}"
    return f"the backbone {Path(arguments.backbone).name}" if arguments.backbone else "a random start"


def _network(arguments: argparse.Namespace, labelled: TrainingSet, record: TrainingRecord) -> PanopticNetwork:
    from mbps_dataset.models.panoptic.starting import continued_panoptic, fresh_panoptic
    from mbps_dataset.training.panoptic.trained_tensors import is_body

    said = f"{record.learned_from.in_words()}; from {record.start}"[:4090]
    names, things, changes = labelled.class_names, labelled.things, network_settings_of(arguments)
    if arguments.start is None:
        return fresh_panoptic(arguments.network, names, things, said, backbone=arguments.backbone, settings=changes)
    if arguments.fresh_heads:
        return continued_panoptic(arguments.start, said, classes=(names, things), kept=is_body, settings=changes)
    network = continued_panoptic(arguments.start, said, settings=changes)
    labelled.require_same_classes(network.class_names, sorted(network.thing_ids), arguments.start)
    return network


def _evaluation(arguments: argparse.Namespace, labelled: TrainingSet) -> Evaluate | None:
    """What is measured while training, if a set to measure on was named."""
    if arguments.val is None:
        return None
    from mbps_dataset.scoring.while_training import AgainstLabels, AgainstTruth

    measured, open_truth = measured_set(arguments)
    labelled.require_same_classes(measured.class_names, measured.things, arguments.val)
    return AgainstTruth.of(measured, open_truth()) if arguments.val_truth else AgainstLabels(measured)


def _tell_cost(
    arguments: argparse.Namespace,
    network: PanopticNetwork,
    labelled: TrainingSet,
    settings: PanopticTrainingSettings,
    processes: Processes,
) -> int:
    from mbps_dataset.settings import as_typed
    from mbps_dataset.training.panoptic.trainer import measure_step

    things = [labelled.class_names[k] for k in labelled.things]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"set         {labelled.name}: {len(labelled.samples)} images, {len(labelled.class_names)} classes, things: "
          f"{', '.join(things)}\nnetwork     {type(network).__name__}, {parameters / 1e6:.1f} M parameters")  # fmt: skip
    for name, value in asdict(settings).items():
        print(f"  {name} = {as_typed(value)}")
    cost = measure_step(network, labelled.samples, settings, processes)
    device = next(network.parameters()).device
    minutes = cost.seconds * settings.steps / 60
    print(f"\nOne step takes {cost.seconds:.2f} s and {cost.memory_bytes / 1e9:.1f} GB of memory on {device}; "
          f"{settings.steps} steps about {minutes:.0f} minutes. Nothing was written to {arguments.output}.")  # fmt: skip
    return 0


def _finish(output: Path, network: PanopticNetwork, record: TrainingRecord) -> None:
    from mbps_dataset.report.training_page import write_training_page

    network.cpu().save_pretrained(output)
    page = write_training_page(output, record)
    used = record.learned_from.ground_truth_used
    print(
        f"written     {output}\ncurve       {output / 'curve.png'}\nreport      {page}\nlog         {output / 'log.jsonl'}"
    )
    print(f"truth used  {'; '.join(used) if used else 'none'}")
    print(f"use it:     {program()} predict --weights {output} --data-dir PHOTOS --output build/predicted")
