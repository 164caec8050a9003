"""The dataset card, rendered from the template ``dataset_card.md``.

The configuration entry carries `version` and the identity of the label set: without them `datasets` serves the rows of
an older build from its cache, because it looks at the card and not at the files (measured on datasets 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import DatasetCardData

from mbps_dataset.labelling.calibration import Calibration, ClassStatistics


_LICENCE_OF_IMAGES = {"license": "other", "license_name": "terms-of-the-source-images"}
_LICENCES = {
    "scenes": {"license": "apache-2.0"},
    "cityscapes": {
        "license": "other",
        "license_name": "cityscapes-terms-of-use",
        "license_link": "https://www.cityscapes-dataset.com/license/",
    },
}
"""By source, as the Hub writes them: a licence that it does not list has a name, and a link where there is a page."""

_MEASURED = {"motion": "moving share", "depth-split": "parts cut along depth"}
"""By `things.method`, what `ClassStatistics.ratio` is, where it is not the salient share."""

_MOST_CLASSES = 100

TEMPLATE = Path(__file__).with_name("dataset_card.md")


def render(document: Mapping[str, Any], *, quality: str | None = None, preview: str | None = None) -> str:
    """The card of a label set described by ``labelset.json``: Markdown with YAML metadata.

    `quality` is a table printed by the metric, with its convention named; `preview` a picture's path in the repository.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    calibration, settings = Calibration.from_json(document["calibration"]), document["recipe"]["settings"]
    methods = {stage: settings.get(stage, {}).get("method") for stage in ("semantics", "depth", "things", "instances")}
    if settings.get("semantics", {}).get("codes") == "tokens":
        methods["semantics"] = "tokens"
    own_attention = methods["semantics"] == "tokens" and settings.get("saliency", {}).get("weights") is None
    methods["attention"] = "tokens" if own_attention else "saliency"
    motion = {split: each for split, each in document.get("motion", {}).items() if split in document["counts"]}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        metadata=front_matter(metadata(document)),
        labelset=document,
        recipe=document["recipe"],
        classes=calibration.classes,
        listed=_listed(calibration.classes, document["counts"]),
        label_free=not document["ground_truth_used"],
        methods=methods,
        measured=_MEASURED.get(methods["things"], "salient share"),
        moving=motion if "motion" in methods.values() else {},
        unmoved=[
            (split, reason.replace("|", "&#124;"), images)
            for split, each in motion.items()
            for reason, images in each["reasons"].items()
        ],
        quality=quality,
        preview=preview,
    )


def _listed(
    classes: Sequence[ClassStatistics], counts: Mapping[str, Mapping[str, Any]]
) -> list[tuple[int, ClassStatistics]]:
    """Classes by id; of more than fit on a card, such as U2Seg's 827, those that occur."""
    numbered = list(enumerate(classes))
    if len(numbered) <= _MOST_CLASSES:
        return numbered
    return [(k, one) for k, one in numbered if any(each["segments_per_class"][one.name] for each in counts.values())]


def metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    """The card's YAML as a mapping."""
    name, rows = document["recipe"]["name"], sum(split["rows"] for split in document["counts"].values())
    return {
        **licence(document["source"]["name"]),
        "pretty_name": f"MBPS panoptic pseudo-labels ({name})",
        "task_categories": ["image-segmentation"] + ([] if "predicted" in document else ["depth-estimation"]),
        "tags": ["panoptic-segmentation", "pseudo-labels", "unsupervised", "street-scenes"],
        "size_categories": [_size_category(rows)],
        "configs": [
            {
                "config_name": name,
                "default": True,
                "version": document["package_version"],
                "description": description(document),
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in document["splits"]
                    if document["counts"][split]["rows"]
                ],
            }
        ],
    }


def licence(source: str) -> dict[str, str]:
    """The licence of label sets of a source, as the Hub writes it in a card's metadata."""
    return _LICENCES.get(source, _LICENCE_OF_IMAGES)


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Metadata as the YAML between the dashes of a card, its keys in the order given."""
    return DatasetCardData(**metadata).to_yaml(original_order=list(metadata))


def description(document: Mapping[str, Any]) -> str:
    """What the set is, and digests of what made the rows and, where it is known, of the rows.

    By the digests other rows have another entry in the cache.
    """
    recipe, rows = document["recipe"], document["digests"].get("rows")
    digests = f"sha256:{document['identity']}" + (f" rows sha256:{rows}" if rows else "")
    return with_digests(recipe_in_words(recipe["name"], recipe["summary"]), digests)


def recipe_in_words(name: str, summary: str) -> str:
    """What a label set of a recipe is, for a person who meets it as a configuration."""
    return (
        f"Semantic, instance, panoptic and depth maps of street images, made by the recipe {name} ({summary}). A recipe "
        "is the networks and all settings that made the labels."
    )


_DIGESTS = " Digests: "


def with_digests(words: str, digests: str) -> str:
    """A configuration's description; `digests_in` finds the digests in it."""
    return f"{words}{_DIGESTS}{digests}"


def digests_in(described: object) -> str:
    """The digests in a configuration's description; of releases before 0.1.0 they are all of it.

    >>> digests_in(with_digests("Labels.", "sha256:12 files sha256:34")), digests_in("sha256:12"), digests_in(None)
    ('sha256:12 files sha256:34', 'sha256:12', '')
    """
    return "" if described is None else str(described).rpartition(_DIGESTS)[2]


def _size_category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "n>1M"
