"""``labelset.json``: where every label comes from.

The document lies beside the Parquet files and says what made them: recipe, digests of code, weights and input,
calibration with the reason for every thing, what each component saw in training, whether ground truth was used and
where, counts, and each image that could not be labelled with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mbps_dataset._version import __version__
from mbps_dataset.errors import WeightsError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.road import STAGE_VERSIONS
from mbps_dataset.labelling.stage_motion import motion_summary
from mbps_dataset.labelling.stage_row import clipped_pixels
from mbps_dataset.labelset.parquet_files import read_rows
from mbps_dataset.models.depth_estimation import KNOWN
from mbps_dataset.models.dinov2 import LABEL_FREE
from mbps_dataset.models.networks import recipe_networks, weights_folder
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.models.saved_network import read_config
from mbps_dataset.named_recipes import BY_GEOMETRY, DINOV2, RECIPES
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import FORMAT_VERSION
from mbps_dataset.sources.depth_files import KINDS
from mbps_dataset.sources.detection_records import stated_origin


COMPONENTS = {
    "cause": ("semantic backbone", "CAUSE head and cluster probe"),
    "depthg": ("semantic backbone", "DepthG head and cluster probe"),
    "tokens": ("semantic backbone",),
    "spidepth": ("depth encoder", "depth network"),
    "attention": ("saliency backbone",),
    "raft": ("flow network",),
}
"""Components of the supervision table that stand for each network."""


def describe(label_set: Labelling, counts: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a finished label set; `counts` are per split (see `count_segments`)."""
    calibration = label_set.calibration()
    return {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "identity": label_set.identity,
        "recipe": label_set.recipe.to_json(),
        "source": label_set.source.describe(),
        "splits": list(label_set.splits),
        "limit": label_set.limit,
        "digests": {
            "recipe": label_set.recipe.digest(),
            "input": label_set.input_digest,
            "weights": label_set.run.contents,
            "device": label_set.run.device_type,
            "code": {"package": __version__, "stages": STAGE_VERSIONS},
        },
        "supervision": supervision(label_set.recipe),
        "ground_truth_used": list(dict.fromkeys((*calibration.truth_used, *_truth_of_detections(label_set.recipe)))),
        "calibration": calibration.to_json(),
        "counts": dict(counts),
        "depth_clipped": _clipped(label_set),
        **_motion(label_set),
        **({"left_out": dict(label_set.source.left_out)} if label_set.source.left_out else {}),
        "failures": [asdict(failure) for failure in label_set.failures()],
    }


def _motion(label_set: Labelling) -> dict[str, Any]:
    """Per split, in how many images something moves, and why not in the others; nothing for recipes without motion."""
    if not label_set.recipe.needs_flow:
        return {}
    run = label_set.calibrated_run()
    return {"motion": {split: motion_summary(run, label_set.frames(split)) for split in label_set.splits}}


def motion_in_words(document: Mapping[str, Any], split: str) -> list[str]:
    """In how many images of a split something moves, and why not in the others, or why they have no depth; a line each."""
    motion, settings = document.get("motion", {}).get(split), document["recipe"]["settings"]
    if motion is None:
        return []
    moves = "motion" in {settings.get(stage, {}).get("method") for stage in ("instances", "things")}
    found = [f"{motion['objects']} moving objects in {motion['images_with_objects']} images"] if moves else []
    what = "no motion" if moves else "no depth"
    return found + [f"{what} in {images}: {reason}" for reason, images in motion["reasons"].items()]


def _clipped(label_set: Labelling) -> dict[str, int]:
    """Images and pixels whose depth lies beyond the recipe's bound, and was clipped to it."""
    run = label_set.calibrated_run()
    frames = [frame for split in label_set.splits for frame in label_set.frames(split)]
    pixels = [clipped_pixels(run, frame) for frame in frames]
    return {"images": sum(each > 0 for each in pixels), "pixels": sum(pixels)}


def supervision(recipe: Recipe) -> dict[str, str]:
    """``{component: what it saw in training}``.

    The recipe's statement holds for the weights it names. Other weights speak for themselves through `supervision` in
    their ``config.json``; if they say nothing, nor do we.
    """
    named, statements = RECIPES.get(recipe.name), dict(recipe.supervision)
    networks, of_named = recipe_networks(recipe), {} if named is None else recipe_networks(named)
    for network, reference in networks.items():
        stated = _stated_by_weights(network, reference)
        if stated is None and network in of_named and of_named[network] in (reference, None):
            continue
        for component in COMPONENTS.get(network, ()):
            statements[component] = stated or f"unknown: the weights {reference} do not say"
    at_work = {component for network in networks for component in COMPONENTS.get(network, ())}
    for component in {each for components in COMPONENTS.values() for each in components} - at_work:
        statements.pop(component, None)  # a network that does not run decides nothing
    for component in BY_GEOMETRY:  # said below of what is at work
        statements.pop(component, None)
    if recipe.depth.method != "spidepth":
        statements["depth"] = _supervision_of_other_depth(recipe)
    return statements | _supervision_of_objects(recipe) | _supervision_of_flow(recipe)


def rendered_only(document: Mapping[str, Any]) -> str:
    """A sentence on the networks that saw rendered scenes only, where they labelled other images; "" for all other sets."""
    seen = {part: text for part, text in document["supervision"].items() if not text.startswith("none:")}
    rendered = [p for p, text in seen.items() if "rendered" in text and not re.search(r"\b(real|photographs)\b", text)]
    if document["source"]["name"] == "scenes" or not rendered:
        return ""
    which = "The networks of this recipe" if len(rendered) == len(seen) else f"These networks ({', '.join(rendered)})"
    labels = "depth is rough" if all("depth" in part for part in rendered) else "expect little of their labels"
    return f"{which} saw rendered scenes only in training: on photographs {labels}."


_RESTRICTED = re.compile(
    r"\bNC\b|\bno[nt]\b[- ](for )?commercial|\bresearch (use )?only\b|\bnot be (passed on|redistributed)\b|\bnone stated\b",
    re.IGNORECASE,
)


def restricted_weights(document: Mapping[str, Any]) -> str:
    """A sentence on weights whose recorded licence forbids commercial use or passing on, or that have none; "" for others."""
    said = dict(document["supervision"])
    learned = (document.get("predicted") or {}).get("learned_from") or {}
    said |= {f"what it learned from, {part}": text for part, text in (learned.get("supervision") or {}).items()}
    found = []
    for part, text in said.items():
        licence = text.partition("licence of the weights: ")[2]
        if _RESTRICTED.search(licence):
            found.append(f"{part} ({licence})")
    if not found:
        return ""
    return f"Weights of this set have a licence that restricts its use, or none: {'; '.join(found)}. See whether you may publish it."


def _supervision_of_objects(recipe: Recipe) -> dict[str, str]:
    """What made objects for instance methods that look at neither depth nor classes."""
    if recipe.instances.method == "detections":
        said: dict[str, str] = {}
        origins = [(Path(file).name, stated_origin(Path(file).expanduser())) for file in recipe.detections.files]
        for name, origin in origins:
            if origin is not None:
                before = said.get(f"detections of {name}", origin[0])  # files of one name may lie in two folders
                said[f"detections of {name}"] = before if origin[0] in before else f"{before}; and: {origin[0]}"
        if files := ", ".join(name for name, origin in origins if origin is None):
            said["imported detections"] = f"unknown: {files}; what their detector saw is not known here"
        return said
    builtin = {"builtin-semantics": "semantic backbone", "builtin-saliency": "saliency backbone"}
    shipped = dict(RECIPES["demo"].supervision)
    made = {}
    for network, reference in recipe_networks(recipe).items():
        if network.startswith("features"):
            stated = shipped[builtin[reference]] if reference in builtin else _stated_by_weights(network, reference)
            made[f"network {network[9:]} of the cuts"] = stated or f"unknown: the weights {reference} do not say"
    return made


def _truth_of_detections(recipe: Recipe) -> tuple[str, ...]:
    """Ground truth that went into networks of ours whose detections are imported."""
    if recipe.instances.method != "detections":
        return ()
    origins = [stated_origin(Path(file).expanduser()) for file in recipe.detections.files]
    return tuple(each for origin in origins if origin is not None for each in origin[1])


def _supervision_of_flow(recipe: Recipe) -> dict[str, str]:
    """What found moving objects, and flow and disparity where that is no network, whose weights speak for themselves."""
    made = {}
    if recipe.needs_flow and recipe.flow.method != "raft":
        stated = OpenCvFlow.supervision if recipe.flow.method == "opencv" else "unknown: files given by the user"
        made["flow and disparity"] = stated
    if recipe.needs_motion:
        made["moving objects"] = BY_GEOMETRY["moving objects"]
    return made


def _supervision_of_other_depth(recipe: Recipe) -> str:
    if recipe.depth.method == "stereo":
        return BY_GEOMETRY["depth"]
    if recipe.depth.method == "files":
        return KINDS[recipe.depth.files_kind][1]
    kind = _config("depth_estimation", recipe.depth.weights).get("model_type", "")
    return KNOWN.get(kind, ("", f"unknown: {kind} network {recipe.depth.weights}"))[1]


def _stated_by_weights(network: str, reference: str | None) -> str | None:
    if str(reference).startswith(LABEL_FREE):
        return DINOV2
    stated = _config(network, reference).get("supervision")
    return stated if isinstance(stated, str) and stated != "unknown" else None


def _config(network: str, reference: str | None) -> dict[str, Any]:
    try:
        return read_config(weights_folder(network, reference))
    except WeightsError:
        return {}


def count_segments(files: Iterable[Path], class_names: Iterable[str]) -> dict[str, Any]:
    """Rows, segments and instances per class of Parquet files, reading only the `segments_info` column."""
    names = list(class_names)
    rows, segments, instances = 0, dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for path in files:
        for row in read_rows(path, ["segments_info"]):
            rows += 1
            for segment in row["segments_info"]:
                name = names[segment["category_id"]]
                segments[name] += 1
                instances[name] += segment["isthing"]
    return {"rows": rows, "segments": sum(segments.values()), "instances": sum(instances.values()),
            "segments_per_class": segments, "instances_per_class": instances}  # fmt: skip
