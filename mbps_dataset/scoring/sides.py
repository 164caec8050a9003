"""The two sides of a score: predictions and ground truth in any form, the splits of them, and what clusters are things.

Decisions (ours): ``splits`` count for whichever side has splits, and are refused if neither has; a split of a label set
whose source has no ground truth at all is left out with a word, unless it was asked for; ground truth has named classes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.formats.own_exports import find_export
from mbps_dataset.formats.segmentation_sets import has_splits, open_pair, require_named
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.scoring.label_set_labels import labels_of_source, predicted_labels, true_labels
from mbps_dataset.sources import Source


NEED_PSEUDO_THINGS = ("hungarian_split", "u2seg")
"""Matchings that keep things and stuff apart."""


@dataclass(frozen=True)
class Sides:
    """Both sides, the splits of the label set that are scored, and what was left out before the first image."""

    predicted: LabelSource
    true: LabelSource
    splits: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def open_sides(
    predictions: Path,
    truth: Path | None,
    splits: Sequence[str],
    classes: int,
    *,
    clusters: bool = False,
    source: Source | None = None,
    with_depth: bool = False,
) -> Sides:
    """Open predictions and truth; `source` takes the place of a label set's own, and is the truth of other forms. Raises `InputError` for what cannot be read or chosen; see `open_labels`."""
    if not _is_built(predictions):
        if truth is None and source is not None:
            true = labels_of_source(source, splits, classes)
            own = tuple(splits) if has_splits(predictions) else ()
            predicted, _ = open_pair(predictions, true, classes=classes, splits=own, clusters=clusters)
            return Sides(predicted, true, tuple(splits))
        if truth is None:
            _say_that_truth_is_missing(predictions)
        if truth is None or not _is_built(truth):
            predicted, true = open_pair(predictions, truth, classes=classes, splits=tuple(splits), clusters=clusters)
            return Sides(predicted, true, tuple(splits))
        true = _built_truth(truth, splits, classes)
        own = tuple(splits) if has_splits(predictions) else ()
        predicted, _ = open_pair(predictions, true, classes=classes, splits=own, clusters=clusters)
        return Sides(predicted, true, tuple(splits))
    built = LabelSetFolder(predictions)
    chosen = tuple(splits or built.splits)
    if truth is None:
        return _against_its_source(built, chosen, classes, source, asked_for=bool(splits), with_depth=with_depth)
    predicted = predicted_labels(built, chosen, classes, split_in_id=False, with_depth=with_depth)
    if _is_built(truth):
        return Sides(predicted, _built_truth(truth, splits, classes), chosen)
    true_splits = tuple(splits) if splits and has_splits(truth) else ()
    true = open_pair(predicted, truth, classes=classes, splits=true_splits)[1]
    return Sides(predicted, true, chosen)


def _is_built(path: Path) -> bool:
    return (path / "labelset.json").is_file()


def _built_truth(path: Path, splits: Sequence[str], classes: int) -> LabelSource:
    built = LabelSetFolder(path)
    true = predicted_labels(built, tuple(splits or built.splits), classes, split_in_id=False)
    require_named(true)
    return true


def _against_its_source(
    built: LabelSetFolder,
    chosen: tuple[str, ...],
    classes: int,
    source: Source | None,
    *,
    asked_for: bool,
    with_depth: bool,
) -> Sides:
    true = true_labels(built, chosen, classes, source)
    with_truth = {image_id.split("/", 1)[0] for image_id in true}
    left_out: tuple[str, ...] = ()
    if not asked_for and with_truth:
        left_out = tuple(split for split in chosen if split not in with_truth)
        chosen = tuple(split for split in chosen if split in with_truth)
    predicted = predicted_labels(built, chosen, classes, split_in_id=True, with_depth=with_depth)
    return Sides(
        predicted, true, chosen, tuple(f"split {split!r}: its source has no ground truth" for split in left_out)
    )


def _say_that_truth_is_missing(predictions: Path) -> None:
    if predictions.is_file():
        raise InputError(f"{predictions} does not know its source; give the ground truth with --truth.")
    if predictions.exists() and find_export(predictions) is not None:
        raise InputError(
            f"{predictions} is an export, which does not know its source; give the ground truth with --truth, or score the "
            "label set that it was made from."
        )
    LabelSetFolder(predictions)  # raises: without a label set there must be a truth


@dataclass(frozen=True)
class PseudoSplit:
    """Which (pseudo-)classes of the predictions are things and which stuff; `declared` if somebody said so by option."""

    things: tuple[int, ...]
    stuff: tuple[int, ...]
    declared: bool = False


def pseudo_split(
    predicted: LabelSource, matching: str, things: Collection[int] | None, stuff: Collection[int] | None
) -> PseudoSplit | None:
    """What is a thing among the predictions' pseudo-classes: from the options, the label set or the file; None if unknown.

    Raises `InputError`, in the words of the command line, for options that contradict each other or the matching, and if
    the matching needs what nobody says.
    """
    if things is None and stuff is None:
        known = _of_the_file(predicted)
        if known is None and matching in NEED_PSEUDO_THINGS:
            raise InputError(
                f"--matching {matching} keeps things and stuff apart, but {predicted.name} does not say which clusters are "
                "things; give them, e.g. --pseudo-things 19-26 --pseudo-stuff 0-18, or take --matching hungarian."
            )
        return known
    if matching == "none":
        raise InputError(
            "--pseudo-things and --pseudo-stuff are for clusters; add --matching hungarian_split or another."
        )
    if both := sorted(set(things or ()) & set(stuff or ())):
        raise InputError(f"--pseudo-things and --pseudo-stuff both hold {both[0]}; a cluster is a thing or stuff.")
    known = _of_the_file(predicted)
    if things is None or stuff is None:
        if known is None:
            missing = "--pseudo-things" if things is None else "--pseudo-stuff"
            raise InputError(f"{predicted.name} does not list its clusters; give {missing} too.")
        given, every = set(things if things is not None else stuff or ()), {*known.things, *known.stuff}
        rest = every - given
        things, stuff = (given, rest) if things is not None else (rest, given)
    if predicted.void in {*things, *stuff}:
        raise InputError(f"--pseudo-things and --pseudo-stuff cannot hold {predicted.void}, the id of void.")
    return PseudoSplit(tuple(sorted(things)), tuple(sorted(stuff)), declared=True)


def _of_the_file(predicted: LabelSource) -> PseudoSplit | None:
    if predicted.label_set is not None:
        every, things = range(len(predicted.label_set.class_names)), set(predicted.label_set.things)
        class_of = predicted.class_of or {k: k for k in every}
        of_things = {class_of[k] for k in every if k in things and class_of.get(k, predicted.void) != predicted.void}
        of_all = {class_of[k] for k in every if class_of.get(k, predicted.void) != predicted.void}
        return PseudoSplit(tuple(sorted(of_things)), tuple(sorted(of_all - of_things)))
    if predicted.is_thing:
        ids = sorted(predicted.is_thing)
        return PseudoSplit(
            tuple(k for k in ids if predicted.is_thing[k]), tuple(k for k in ids if not predicted.is_thing[k])
        )
    return None
