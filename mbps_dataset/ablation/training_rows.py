"""The rows of CUPS' Table 7c: what each component of the training adds, one more in each row.

(Hahn et al., "Scene-Centric Unsupervised Panoptic Segmentation", CVPR 2025.) Decisions, ours:

* "vanilla" teaches that nothing is where no object was labelled. The next row leaves open what is not known: DropLoss of a
  cascade, and what comes to the same in the other networks;
* objects that the network finds are copied after a quarter of the steps (CUPS: 1000 of 4000);
* self-training goes on from the row before for three eighths of the steps at a tenth of the learning rate (CUPS: 1500
  after 4000). Beside it stands the row before it trained as much longer on the set's labels, since more steps alone may help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings


@dataclass(frozen=True)
class TrainingRow:
    """One training: `name`, how, what of the network differs, the paper's PQ in percent, and whether it `goes_on` from the
    row of that name."""

    name: str
    settings: PanopticTrainingSettings
    network: Mapping[str, Any] = field(default_factory=dict)
    published: float | None = None
    goes_on: str | None = None


_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "dense": {"unknown_is_empty": True},
    "mask2former": {"unknown_share": 1.0},
    "cascade": {"drop_loss": "off"},
}
_AWARE: Mapping[str, Mapping[str, Any]] = {
    "dense": {"unknown_is_empty": False},
    "mask2former": {},
    "cascade": {"drop_loss": "as-coded"},
}
"""What is not known, by kind of network: taught to be empty, and left open."""


def training_rows(kind: str, settings: PanopticTrainingSettings) -> tuple[TrainingRow, ...]:
    """The rows for a network of a `kind`, each trained as `settings` say but for its own components."""
    plain = replace(settings, copy_paste=False, self_enhanced_after=0, self_labels_after=0, rounds=1)
    pasted = replace(plain, copy_paste=True)
    enhanced = replace(pasted, self_enhanced_after=max(settings.steps // 4, 1))
    longer = replace(
        pasted, self_enhanced_after=1, steps=max(3 * settings.steps // 8, 2), learning_rate=settings.learning_rate / 10
    )
    taught = replace(
        longer, self_labels_after=1, average_decay=settings.average_decay or 0.999, trained="self-training"
    )
    aware, before = _AWARE[kind], "+ Self-enhanced copy-paste"
    return (
        TrainingRow("Vanilla training", plain, _PLAIN[kind], 24.1),
        TrainingRow("+ DropLoss: what is not known is left open", plain, aware, 25.3),
        TrainingRow("+ Copy-paste", pasted, aware, 26.3),
        TrainingRow(before, enhanced, aware, 26.6),
        TrainingRow("+ Self-training", taught, aware, 27.8, goes_on=before),
        TrainingRow("No self-training, but as many steps more", longer, aware, goes_on=before),
    )
