"""The road of a recipe: which stages it runs, in which order, and finding them by name."""

from __future__ import annotations

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.road import STAGE_VERSIONS, STAGES, before_calibration, stage_named, stages_of
from mbps_dataset.named_recipes import get_recipe


def names(*settings: str) -> tuple[list[str], list[str]]:
    recipe = get_recipe("demo").with_settings(settings)
    return [s.name for s in stages_of(recipe)], [s.name for s in before_calibration(recipe)]


def test_a_recipe_runs_what_its_row_is_made_from():
    early = ["codes", "depth", "pseudo_classes", "saliency"]
    assert names() == ([*early, "labels"], early)
    assert names("instances.method=votecut")[0] == [*early, "cuts", "labels"]
    assert names("instances.method=detections", "detections.files=x.json")[0] == [*early, "labels"]
    assert names("things.method=motion")[0] == ["codes", "flow", "depth", "pseudo_classes", "motion", "labels"]
    assert names("depth.method=stereo")[0] == ["codes", "flow", "depth", "pseudo_classes", "saliency", "labels"]
    assert names("things.method=all")[0] == ["codes", "depth", "pseudo_classes", "labels"]
    assert names("semantics.windows=low")[0] == ["low_codes", *early[1:], "labels"]
    assert names("semantics.windows=average")[0] == ["codes", "low_codes", *early[1:], "labels"]


def test_over_clustering_waits_for_its_centroids():
    assert names("clusters.method=kmeans")[1] == ["codes", "depth", "saliency"]


def test_every_stage_is_found_by_its_name_and_no_other():
    assert [stage_named(name) for name in STAGES] == list(STAGES.values())
    assert all(version >= 1 for version in STAGE_VERSIONS.values())
    with pytest.raises(InputError, match="no stage 'cuddles'; stages are codes"):
        stage_named("cuddles")
