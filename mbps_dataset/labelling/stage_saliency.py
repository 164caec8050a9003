"""Stage: class-token attention of a ViT, the saliency that tells things from stuff (report 2.4)."""

from __future__ import annotations

from mbps_dataset.arrays import Mask
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, as_numpy, never, one_thread
from mbps_dataset.recipe import Recipe
from mbps_dataset.stages import saliency, semantics
from mbps_dataset.stages.network_pixels import network_pixels


def _key(run: Run) -> tuple[object, ...]:
    return run.device_type, run.recipe.deciding_settings()["saliency"], run.contents["attention"]


def _compute(visit: Visit) -> Arrays:
    settings, network = visit.recipe.saliency, visit.run.network("attention")
    resized = semantics.resize_for_windows(visit.image, short_side=settings.short_side, patch=network.patch_size)
    pixels = network_pixels(resized)[None].to(visit.run.device)
    return {"attention": as_numpy(network.attention(pixels, variant=settings.variant)[0].float())}


def _runs(recipe: Recipe) -> bool:
    return recipe.things.method == "attention"


SALIENCY = Stage("saliency", "saliency", 2, never, _key, _compute, runs=_runs)


@one_thread()
def salient(visit: Visit, height: int, width: int) -> Mask:
    """Saliency mask bool [height, width]: class-token attention above its Otsu threshold (report 2.4)."""
    attention = visit.result(SALIENCY)["attention"]
    return saliency.salient_mask(saliency.upsample(attention, height, width))
