"""What a recipe names by a path or Hub id, as digests of content.

A label set is identified by what its weights and files hold, never by how a path was spelled: a relative and an
absolute path, a link, or a Hub id and the folder it was downloaded to give the same digests.
"""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.models.cause.centroids import LABEL_SET_FILE
from mbps_dataset.models.networks import recipe_networks, require_networks, weights_digest
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources.detections import detections_digest
from mbps_dataset.sources.images import DIGESTS


def recipe_contents(recipe: Recipe) -> dict[str, str]:
    """``{what: digest}`` of the networks a recipe runs and of the files it reads once for all images.

    Raises `WeightsError` naming all networks that are missing, before one is downloaded; `InputError` if a file is.
    """
    require_networks(recipe)
    contents = {}
    if recipe.instances.method == "detections":
        contents["detections"] = detections_digest(recipe.detections)
    for network, reference in recipe_networks(recipe).items():
        contents[network] = weights_digest(network, reference)
    if recipe.clusters.method == "centroids":
        contents["centroids"] = _file_digest("clusters.centroids", _centroids_file(recipe))
    if recipe.naming.method == "file":
        contents["cluster_names"] = _file_digest("naming.file", recipe.naming.file)
    return contents


def _centroids_file(recipe: Recipe) -> str:
    """The file of centroids; of a label set its document."""
    place = Path(str(recipe.clusters.centroids)).expanduser()
    return str(place / LABEL_SET_FILE if place.is_dir() else place)


def _file_digest(setting: str, path: str | None) -> str:
    place = Path(str(path)).expanduser()
    if not place.is_file():
        raise InputError(f"{setting}: {place} is not a file; give the path of one that exists.")
    return DIGESTS.digest(place)
