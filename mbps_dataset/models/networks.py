"""The networks of a recipe: where their weights lie, what identifies them, and loading them once per process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import hub_weights
from mbps_dataset.models.saved_network import read_config
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.stage_settings import CUT_METHODS
from mbps_dataset.store import digest_of


WEIGHTS_ROOT = Path(__file__).parents[1] / "weights"

_SETTING = {
    "cause": "semantics.weights",
    "depthg": "semantics.weights",
    "tokens": "semantics.backbone",
    "spidepth": "depth.weights",
    "depth_estimation": "depth.weights",
    "attention": "saliency.weights",
    "features": "cuts.weights",
    "raft": "flow.weights",
}
_HOW = {
    "cause": "convert the published CAUSE and DINOv2 checkpoints once with `mbps convert cause`",
    "depthg": "convert a DepthG or STEGO checkpoint once with `mbps convert depthg`",
    "tokens": "give a folder or Hub id of a DINOv2 of transformers (`facebook/dinov2-small`)",
    "spidepth": "convert the published SPIdepth checkpoints once with `mbps convert spidepth`",
    "depth_estimation": "give a folder or Hub id of a transformers depth-estimation network (`apple/DepthPro-hf`)",
    "attention": "give a folder or Hub id of a DINOv3 ViT (`facebook/dinov3-vitb16-pretrain-lvd1689m`) or a DINOv2 "
    "(`facebook/dinov2-small`)",
    "features": "give folders or Hub ids of DINO or DINOv2 ViTs (`facebook/dino-vitb8`), separated by commas",
    "raft": "convert the published SMURF checkpoint once with `mbps convert smurf`",
}
_DEPTH_FILES = "take depth from files, --set depth.method=files --set depth.files=FOLDER"
_ELSE = {
    "cause": "train one on your images with `mbps train cause`",
    "depthg": "the recipe `motion` takes CAUSE in its place, and `demo-motion` needs no weights",
    "tokens": "--set semantics.backbone=builtin takes that of the demo, which saw rendered scenes only",
    "spidepth": f"train one on your images with `mbps train spidepth`, or {_DEPTH_FILES}",
    "depth_estimation": _DEPTH_FILES,
    "attention": "--set things.method=depth-split tells things apart without saliency",
    "features": "--set cuts.weights=builtin-semantics takes the demo's network, and --set "
    "instances.method=depth-gradient none",
    "raft": "--set flow.method=opencv finds flow and disparity without weights",
}
"""What else works where a network cannot be had."""

_WHERE = '"The networks" in docs/cityscapes.md has every source, licence, size and gate; the recipe `demo` needs none.'
_BUILTIN_FEATURES = {"builtin-semantics": "cause", "builtin-saliency": "attention"}
_BUILTIN_OF_ANOTHER = {"tokens": "cause"}


def weights_folder(network: str, reference: str | None) -> Path:
    """Folder that holds ``config.json`` and the weights of `network` ("cause", "depthg", "spidepth", "depth_estimation",
    "attention", "raft", or "features_1", "features_2", … for normalised cuts).

    `reference` is "builtin", a folder, or a Hub id, which is downloaded once. Raises `WeightsError` saying what to do.
    """
    try:
        place = _place(network, reference)
        return place if isinstance(place, Path) else hub_weights.download(place)
    except WeightsError as error:
        raise WeightsError(f"{_fault(network, reference, error)} {_WHERE}") from None


def require_networks(recipe: Recipe) -> None:
    """Raises `WeightsError` naming every network of a recipe that cannot be had, a line each, before one is downloaded."""
    faults = []
    for network, reference in recipe_networks(recipe).items():
        try:
            place = _place(network, reference)
            _require_tensors(network, place) if isinstance(place, Path) else hub_weights.require_access(place)
        except WeightsError as error:
            faults.append(_fault(network, reference, error))
    if len(faults) == 1:
        raise WeightsError(f"{faults[0]} {_WHERE}")
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise WeightsError(f"{len(faults)} networks of the recipe {recipe.name} are missing:\n{lines}\n{_WHERE}")


def _place(network: str, reference: str | None) -> Path | str:
    """The folder of a network, or the Hub id to download. Raises `WeightsError` with a clause for `_fault`."""
    kind = _kind(network)
    if reference is None:
        raise WeightsError(f"is not set: pass --set {_SETTING[kind]}=FOLDER_OR_HUB_ID; {_HOW[kind]}")
    if kind == "features" and reference in _BUILTIN_FEATURES:
        return WEIGHTS_ROOT / _BUILTIN_FEATURES[reference]
    if reference == "builtin" and kind != "features":
        folder = WEIGHTS_ROOT / _BUILTIN_OF_ANOTHER.get(network, network)
        if not folder.is_dir():
            raise WeightsError(f"has no network of this kind; {_HOW[kind]}")
        return folder
    if (path := _folder(reference)) is not None:
        return path
    if not hub_weights.is_hub_id(reference):
        builtin = f", nor {' or '.join(_BUILTIN_FEATURES)}" if kind == "features" else ""
        raise WeightsError(f"is neither a folder nor a Hub id (org/name){builtin}; {_HOW[kind]}")
    return hub_weights.cached(reference) or reference


def _fault(network: str, reference: str | None, error: WeightsError) -> str:
    """What is wrong with a network, after the setting that names it, and what else works, as sentences."""
    kind = _kind(network)
    subject = _SETTING[kind] if reference is None else f"{_SETTING[kind]}: {reference[:200]}"
    return f"{subject} {error}. Or {_ELSE[kind]}."


def _folder(reference: str) -> Path | None:
    try:
        path = Path(reference).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # no path at all: too long, or of a user who does not exist
        return None


def _kind(network: str) -> str:
    """What a network is for: its name without the number that the networks of features have."""
    return network.partition("_")[0] if network.startswith("features") else network


def weights_digest(network: str, reference: str | None) -> str:
    """Hex digest over the files of a weights folder; follows content, not paths. Raises `WeightsError`."""
    folder = weights_folder(network, reference)
    try:
        files = _require_tensors(network, folder)
    except WeightsError as error:
        raise WeightsError(f"{_fault(network, str(folder), error)} {_WHERE}") from None
    return digest_of([(path.name, DIGESTS.digest(path)) for path in files])


def _require_tensors(network: str, folder: Path) -> list[Path]:
    """The files of a network that count. Raises `WeightsError` if there is no tensor among them."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json")) if folder.is_dir() else []
    if not any(path.suffix == ".safetensors" for path in files):
        raise WeightsError(f"holds no .safetensors file; {_HOW[_kind(network)]}")
    return files


def recipe_networks(recipe: Recipe) -> dict[str, str | None]:
    """``{network: weights reference}`` of the networks a recipe runs."""
    semantics = recipe.semantics
    of_tokens = semantics.codes == "tokens"
    networks: dict[str, str | None] = {recipe.semantic_network: semantics.backbone if of_tokens else semantics.weights}
    if recipe.depth.method == "spidepth":
        networks["spidepth"] = recipe.depth.weights
    elif recipe.depth.method == "transformers":
        networks["depth_estimation"] = recipe.depth.weights
    if recipe.things.method == "attention":
        networks["attention"] = recipe.saliency.weights
        if of_tokens and recipe.saliency.weights is None:  # its own class token says where objects are
            networks["attention"] = semantics.backbone
    if recipe.needs_flow and recipe.flow.method == "raft":
        networks["raft"] = recipe.flow.weights
    if recipe.instances.method in CUT_METHODS:
        wanted = recipe.cuts.weights if recipe.instances.method == "votecut" else recipe.cuts.weights[:1]
        networks |= {f"features_{number}": reference for number, reference in enumerate(wanted or (None,), start=1)}
    return networks


@lru_cache(maxsize=10)
def load(network: str, reference: str | None, device: str) -> nn.Module:
    """The network in evaluation mode on `device`, loaded once per process. Raises `WeightsError`."""
    loaded = _LOADERS[_kind(network)](weights_folder(network, reference))
    return loaded.eval().requires_grad_(False).to(torch.device(device))


def _load_cause(folder: Path) -> nn.Module:
    from mbps_dataset.models.cause import CauseSegmenter

    return CauseSegmenter.from_pretrained(folder)


def _load_tokens(folder: Path) -> nn.Module:
    from mbps_dataset.models.backbone_tokens import BackboneTokens

    return BackboneTokens.from_pretrained(folder)


def _load_depthg(folder: Path) -> nn.Module:
    from mbps_dataset.models.depthg import DepthGSegmenter

    return DepthGSegmenter.from_pretrained(folder)


def _load_spidepth(folder: Path) -> nn.Module:
    from mbps_dataset.models.spidepth import SPIdepth

    return SPIdepth.from_pretrained(folder)


def _load_depth_estimation(folder: Path) -> nn.Module:
    from mbps_dataset.models.depth_estimation import DepthEstimator

    return DepthEstimator.from_pretrained(folder)


def _load_attention(folder: Path) -> nn.Module:
    from mbps_dataset.models.attention import ClsAttention
    from mbps_dataset.models.dinov2_attention import Dinov2ClsAttention

    config = read_config(folder)
    of_dinov2 = str(config.get("model_type", "")).startswith("dinov2") or "codebook_size" in config
    return (Dinov2ClsAttention if of_dinov2 else ClsAttention).from_pretrained(folder)


def _load_features(folder: Path) -> nn.Module:
    from mbps_dataset.models.feature_networks import load_feature_network

    return load_feature_network(folder)


def _load_raft(folder: Path) -> nn.Module:
    from mbps_dataset.models.raft import RaftFlow

    return RaftFlow.from_pretrained(folder)


_LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "cause": _load_cause,
    "depthg": _load_depthg,
    "tokens": _load_tokens,
    "spidepth": _load_spidepth,
    "depth_estimation": _load_depth_estimation,
    "attention": _load_attention,
    "features": _load_features,
    "raft": _load_raft,
}
"""How a network of each kind is loaded; imports are late, because each brings half of transformers along."""
