"""Training a network a row of CUPS' Table 7c, and measuring every one on the same images with ground truth.

All rows see the same images in the same order from the same start; truth is read to measure, after the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mbps_dataset import taxonomy
from mbps_dataset.ablation.results import Measurement, RowResult, row_result
from mbps_dataset.ablation.rows import Row, Table
from mbps_dataset.ablation.training_rows import TrainingRow
from mbps_dataset.formats.training_set import TrainingSet
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.metrics.counts import right_kinds
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.network import PanopticNetwork
from mbps_dataset.models.panoptic.record import TrainingRecord
from mbps_dataset.models.panoptic.starting import changed_panoptic, fresh_panoptic
from mbps_dataset.training.checkpointing import seeded
from mbps_dataset.training.panoptic.trainer import Records, train_panoptic


COLUMNS = ("pq", "paper_pq", "change_pq", "pq_stuff", "pq_things", "found", "false_things")

TABLE = "cups-7c"

Scores = Callable[[PanopticNetwork], tuple[PanopticQuality, PanopticQuality]]
"""What a network finds: panoptic quality over the 19 classes, and that of its things as one class, 0, whatever theirs are."""


def run_training_table(
    labelled: TrainingSet,
    score: Scores,
    kind: str,
    rows: Sequence[TrainingRow],
    folder: Path,
    *,
    backbone: str | None = None,
    device: str = "cpu",
    resamples: int = 1000,
    show_progress: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Table, tuple[RowResult, ...]]:
    """The table and its rows, each with 95 % of what its PQ changes against the first, over `resamples` of the images.

    `score` measures all networks on the same images. `folder` keeps weights, log and checkpoint of each row, from where the
    same call goes on. `tell` hears what begins. Raises what `train_panoptic` raises, and `WeightsError` or `RecipeError` for a network that cannot be made.
    """
    networks: dict[str, Path] = {}
    scores = []
    for number, row in enumerate(rows):
        networks[row.name] = folder / f"row-{number}"
        tell(f"{row.name} ({number + 1} of {len(rows)})")
        start = None if row.goes_on is None else networks[row.goes_on]
        network = _trained(labelled, kind, row, networks[row.name], start, backbone, device, show_progress)
        scores.append(score(network))
    plain = [Row(row.name, published={} if row.published is None else {"pq": row.published}) for row in rows]
    measured = [_measurement(*each, labelled, resamples) for each in scores]
    results = tuple(row_result(row, [own], measured[:1]) for row, own in zip(plain, measured, strict=True))
    return Table(TABLE, "Training components, one more in each row", COLUMNS, tuple(plain)), results


def _trained(
    labelled: TrainingSet,
    kind: str,
    row: TrainingRow,
    folder: Path,
    start: Path | None,
    backbone: str | None,
    device: str,
    show_progress: bool,
) -> PanopticNetwork:
    """The network of a row, as `folder` has it or trained now."""
    said = labelled.made_by.in_words()
    with seeded(row.settings.seed):
        if start is None:
            network = fresh_panoptic(
                kind, labelled.class_names, labelled.things, said, backbone=backbone, settings=row.network
            )
        else:
            network = changed_panoptic(load_panoptic(str(start)), row.network)
    from_what = (
        f"the row {row.goes_on!r}"
        if row.goes_on
        else f"the backbone {Path(backbone).name}"
        if backbone
        else "a random start"
    )
    network.record = TrainingRecord(labelled.made_by, asdict(row.settings), from_what)
    network.to(device)
    data = f"{kind} from {from_what}, set {labelled.made_by.identity[:16]}, {dict(row.network)}"
    records = Records(folder, data=data, show_progress=show_progress)
    train_panoptic(network, labelled.samples, row.settings, records=records)
    network.save_pretrained(folder)
    return network


def _measurement(
    quality: PanopticQuality, alone: PanopticQuality, labelled: TrainingSet, resamples: int
) -> Measurement:
    """Both metrics in numbers: also ``found``, the share of true things, and ``false_things`` an image, whatever their classes."""
    result, counts, images = quality.compute(), alone.compute().per_class[0], len(alone)
    stuff = set(range(len(labelled.class_names))) - set(labelled.things)
    right_side, classes = right_kinds(labelled.things, stuff, result.assignment, taxonomy.THINGS_19)
    return Measurement(
        result=result,
        resampled=quality.resampled(resamples),
        miou=result.miou,
        instances=(counts["tp"] + counts["fp"]) / images,
        things=len(labelled.things),
        right_side=right_side,
        classes=classes,
        more={
            "found": counts["tp"] / max(counts["tp"] + counts["fn"], 1),
            "false_things": counts["fp"] / images,
        },
    )
