"""``training.json``: which label set panoptic weights learned from, and how, kept beside them wherever they go.

A label set that such weights predict must say what they saw. So the record names the set, its digests, its licence and
whether ground truth was used for it, and `HubNetwork.save_pretrained` and `push_to_hub` write it with the weights. Weights
without a record can be used; what they predict is then not called label-free, because nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.saved_network import read_config


NAME = "training.json"

NO_RECORD = "labels that the network learned from: unknown, its weights have no record of them"
"""Stands where ground truth is listed for weights of which nobody knows what they learned from."""

_LONGEST = 4000
"""Characters of `LearnedFrom.in_words`: of weights from labels from weights from labels it grows, and a text has an end."""


@dataclass(frozen=True)
class LearnedFrom:
    """The label set that weights learned from, and with how many of its images.

    `identity` and `rows` are its digests (`rows` "" where it has none), `revision` a tag or commit of the Hub or "";
    `named` says whether its classes are Cityscapes' or clusters; `supervision` what each component that made it saw;
    `ground_truth_used` is empty for a label-free set.
    """

    recipe: str
    source: str
    splits: tuple[str, ...]
    images: int
    identity: str
    rows: str
    revision: str
    named: bool
    licence: str
    supervision: Mapping[str, str]
    ground_truth_used: tuple[str, ...]

    def in_words(self) -> str:
        """One sentence for the weights' own `supervision`."""
        truth = "; ".join(self.ground_truth_used) or "none"
        parts = "; ".join(f"{component}: {seen}" for component, seen in self.supervision.items())
        said = (
            f"panoptic labels of {self.images} images of {self.source} ({', '.join(self.splits)}), label set {self.recipe} "
            f"sha256:{self.identity}; ground truth used for them: {truth}; licence of the set: {self.licence}; made by "
            f"{parts}"
        )
        return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 40]} … (the rest is in {NAME})"


@dataclass(frozen=True)
class TrainingRecord:
    """`learned_from`; `settings` of the training, by name; `start` says in words what it started from."""

    learned_from: LearnedFrom
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str = "a random start"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_record(folder: Path) -> TrainingRecord | None:
    """The record beside weights, or None if there is none. Raises `WeightsError` if it is damaged."""
    if not (folder / NAME).is_file():
        return None
    document = read_config(folder, NAME)
    try:
        held = dict(document["learned_from"])
        for name in ("splits", "ground_truth_used"):
            held[name] = tuple(held[name])
        learned_from = LearnedFrom(**held)
        if fault := _fault(learned_from):
            raise ValueError(fault)
        return TrainingRecord(learned_from, document.get("settings", {}), document.get("start", ""))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder / NAME}: not the record of a training ({error}); train or download again."
        ) from None


def _fault(held: LearnedFrom) -> str | None:
    kinds = {"splits": tuple, "ground_truth_used": tuple, "images": int, "named": bool, "supervision": dict}
    for declared in fields(held):
        if not isinstance(getattr(held, declared.name), kinds.get(declared.name, str)):
            return f"{declared.name} is of another type"
    texts = (*held.splits, *held.ground_truth_used, *held.supervision, *held.supervision.values())
    return None if all(isinstance(text, str) for text in texts) else "a text is none"
