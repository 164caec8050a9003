"""A folder that was built again gives its new rows, also to a `datasets` cache that knows the old ones."""

from __future__ import annotations

import datasets

from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset import card
from mbps_dataset.labelset.build import build


def test_a_rebuilt_folder_never_serves_the_rows_of_before(small_label_set, tmp_path):
    def load() -> list[list[int]]:
        rows = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache"))
        return [[segment["area"] for segment in row["segments_info"]] for row in rows]

    def rebuild(*settings: str) -> list[list[int]]:
        recipe = small_label_set.recipe.with_settings(settings)
        label_set = Labelling(recipe, small_label_set.source, small_label_set.store, splits=("train",))
        build(label_set, tmp_path / "set", overwrite=True, workers=1, progress=False)
        return load()

    before = rebuild()
    assert load() == before  # from the cache
    after = rebuild("fusion.min_stuff_area=3000")
    assert after != before
    assert rebuild() == before


def test_other_rows_under_the_same_identity_are_another_entry_of_the_cache():
    document = {
        "identity": "a" * 64, "digests": {"rows": "1" * 64}, "recipe": {"name": "mine", "summary": "sha256:12 in words"}
    }  # fmt: skip
    other = document | {"digests": {"rows": "2" * 64}}
    assert card.description(document) != card.description(other)
    assert card.digests_in(card.description({**document, "digests": {}})) == f"sha256:{'a' * 64}"
