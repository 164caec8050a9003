"""What a recipe names by a path or Hub id counts by its content."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError, WeightsError
from mbps_dataset.labelling.contents import recipe_contents
from mbps_dataset.named_recipes import get_recipe
from tests.models.cause.cause_weights import tiny_network


def contents(*settings: str) -> dict[str, str]:
    return recipe_contents(get_recipe("demo").with_settings(settings))


def test_the_networks_of_a_recipe_are_listed():
    assert set(contents()) == {"cause", "spidepth", "attention"}
    assert set(contents("instances.method=votecut")) == {"cause", "spidepth", "attention", "features_1", "features_2"}
    with pytest.raises(WeightsError, match="semantics.weights"):
        recipe_contents(get_recipe("mbps"))


def test_files_that_are_read_once_count_too(tmp_path):
    path = tmp_path / "names.npz"
    np.savez(path, cluster_to_class=np.arange(27) % 19)
    asked = ("naming.method=file", f"naming.file={path}")
    before = contents(*asked)["cluster_names"]
    np.savez(path, cluster_to_class=np.arange(27) % 18)
    assert contents(*asked)["cluster_names"] != before
    with pytest.raises(InputError, match="clusters.centroids: .*none.npz is not a file"):
        contents("clusters.method=centroids", f"clusters.centroids={tmp_path / 'none.npz'}")


def test_a_copy_has_the_same_content(tmp_path):
    tiny_network().save_pretrained(tmp_path / "one")
    tiny_network().save_pretrained(tmp_path / "two")
    one, two = (contents(f"semantics.weights={tmp_path / name}")["cause"] for name in ("one", "two"))
    assert one == two != contents()["cause"]
