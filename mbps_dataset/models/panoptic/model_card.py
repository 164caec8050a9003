"""The card of panoptic weights: what they find, which label set they learned from, and whether labels of people entered."""

from __future__ import annotations

from huggingface_hub import ModelCard, ModelCardData

from mbps_dataset.models.panoptic.record import LearnedFrom, TrainingRecord


def model_card(
    kind: str, class_names: tuple[str, ...], thing_ids: frozenset[int], supervision: str, record: TrainingRecord | None
) -> ModelCard:
    """A card with metadata for the Hub; without a `record` it says that nobody knows what the weights learned from."""
    data = ModelCardData(
        library_name="mbps-dataset",
        pipeline_tag="image-segmentation",
        tags=["panoptic-segmentation", "street-scenes", *(["pseudo-labels"] if _label_free(record) else [])],
    )
    things = [name for k, name in enumerate(class_names) if k in thing_ids]
    stuff = [name for k, name in enumerate(class_names) if k not in thing_ids]
    parts = [
        f"---\n{data.to_yaml()}\n---\n\n# Panoptic segmentation of street images ({kind})",
        f"Things: {', '.join(things) or 'none'}. Stuff: {', '.join(stuff) or 'none'}.",
        _learned(record.learned_from, record) if record is not None else _unknown(supervision),
        "## How to use\n\n```python\nfrom mbps_dataset.models.panoptic.loading import load_panoptic\n\n"
        'network = load_panoptic("FOLDER_OR_HUB_ID")\n'
        "found = network.predict(images)     # float32 [B, 3, H, W] in [0, 1]\n```\n\n"
        "`mbps predict --weights FOLDER_OR_HUB_ID --data-dir PHOTOS --output build/predicted` writes a label set.",
    ]
    return ModelCard("\n\n".join(parts) + "\n")


def _label_free(record: TrainingRecord | None) -> bool:
    return record is not None and not record.learned_from.ground_truth_used


def _learned(learned: LearnedFrom, record: TrainingRecord) -> str:
    truth = "; ".join(learned.ground_truth_used)
    lines = [
        "## What it learned from",
        f"{learned.images} images of the label set `{learned.recipe}` on {learned.source} ({', '.join(learned.splits)}), "
        f"`sha256:{learned.identity}`, started from {record.start}. "
        + (
            f"**Ground truth was used for these labels: {truth}.**"
            if truth
            else "No label of a person was used for them."
        ),
        f"Licence of the label set: {learned.licence}. `training.json` holds the settings.",
        "| component that made the labels | what it saw in training |\n|---|---|\n"
        + "\n".join(
            f"| {component} | {seen.replace('|', '&#124;')} |" for component, seen in learned.supervision.items()
        ),
    ]
    return "\n\n".join(lines)


def _unknown(supervision: str) -> str:
    return f"## What it learned from\n\nThere is no record of the label set. The weights say of themselves: {supervision}."
