"""Names of files, and what a folder says about itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.formats.description import Description, file_stem, image_id_of, split_folder


@given(st.text(max_size=60))
def test_every_image_id_is_one_safe_file_name_and_comes_back(image_id):
    stem = file_stem(image_id)
    assert image_id_of(stem) == image_id
    assert not set(stem) & set('/\\:*?"<>|\0\n') and not stem.startswith(".")


def test_plain_names_stay_plain():
    assert file_stem("frankfurt_000001_000294") == "frankfurt_000001_000294"
    assert file_stem("ünï 1") == "ünï 1" and split_folder("validation") == "val" and split_folder("train") == "train"


def test_a_description_comes_back_from_its_file(tmp_path):
    description = Description("cups", ("a", "b"), (1,), False, 255, {"train": 3}, {"size": [4, 5]}, {"identity": "x"})
    (tmp_path / "x.json").write_text(description.to_json(), encoding="utf-8")
    assert Description.read(tmp_path / "x.json") == description
    assert description.palette().shape == (2, 3)
