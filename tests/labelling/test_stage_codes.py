"""Codes of several image sizes: scores are averaged over them."""

from __future__ import annotations

import torch

from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_codes import CODES, log_probs, merged, window_image
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.stages import semantics
from mbps_dataset.stages.network_pixels import network_pixels


def test_scores_of_several_scales_are_averaged(small_label_set):
    recipe = get_recipe("demo").with_settings(["semantics.scales=1,1.5"])
    visit = Run(recipe, small_label_set.store).visit(small_label_set.frames("train")[0])
    network = visit.run.network("cause")
    found = merged(visit, CODES, lambda codes: log_probs(codes, network.probe, 3.0))
    maps = []
    for scale in (1.0, 1.5):
        pixels = network_pixels(window_image(visit.image, recipe.semantics, scale))
        with torch.inference_mode():
            maps.append(semantics.sliding_window_log_probs(network, pixels, crop=recipe.semantics.crop))
    expected = semantics.mean_of_scales(maps, window_image(visit.image, recipe.semantics).shape[:2])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
