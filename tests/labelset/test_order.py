"""What a folder says it is to hold, and what it refuses to become."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from mbps_dataset import cli
from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.order import BuildOrder, claim
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.store import Store
from tests.tiny import tiny_label_set, tiny_settings


@pytest.fixture(scope="module")
def settings(inputs):
    return tiny_settings(inputs, 3)


@pytest.fixture
def begun(inputs, settings, tmp_path):
    """A folder that was claimed, and its label set."""
    label_set = tiny_label_set(inputs, tmp_path / "set/stages", settings)
    claim(tmp_path / "set", label_set, None, overwrite=False)
    return tmp_path / "set", label_set


def test_an_order_opens_the_same_label_set(begun):
    output, label_set = begun
    order = BuildOrder.read(output)
    assert order is not None and order.recipe == label_set.recipe
    assert order.open(output).identity == label_set.identity


def test_a_finished_set_is_its_own_order(inputs, settings, tmp_path):
    label_set = tiny_label_set(inputs, tmp_path / "stages", settings, limit=2)
    build(label_set, tmp_path, workers=1, progress=False)
    shutil.rmtree(tmp_path / "stages")
    order = BuildOrder.read(tmp_path)
    assert order is not None and order.limit == 2 and order.open(tmp_path).identity == label_set.identity


def test_a_damaged_order_is_none(begun):
    output, label_set = begun
    (output / "stages/build.json").write_text('{"recipe"')
    assert BuildOrder.read(output) is None
    (output / "recipe.json").write_text("{")
    claim(output, label_set, None, overwrite=False)
    assert BuildOrder.read(output) is not None and json.loads((output / "recipe.json").read_text())["name"] == "demo"


def test_another_recipe_is_refused_even_when_the_order_is_lost(begun, inputs, settings):
    output, _ = begun
    (output / "stages/build.json").unlink()
    other = tiny_label_set(inputs, output / "stages", [*settings, "instances.min_area=50"])
    with pytest.raises(RecipeError, match="instances.min_area: 50 != 20.*--overwrite"):
        claim(output, other, None, overwrite=False)
    claim(output, other, None, overwrite=True)


def test_a_damaged_recipe_is_not_another_one(begun):
    """A changed byte can leave valid JSON with another value, or a setting that does not exist."""
    output, label_set = begun
    whole = (output / "recipe.json").read_text()
    for damaged in (whole.replace('"min_area": 20', '"min_area": 21'), whole.replace('"min_area"', '"min_arfa"')):
        assert damaged != whole
        (output / "recipe.json").write_text(damaged)
        claim(output, label_set, None, overwrite=False)
        assert (output / "recipe.json").read_text() == whole


def test_a_recipe_of_another_version_is_refused(begun):
    output, label_set = begun
    (output / "stages/build.json").unlink()
    (output / "recipe.json").write_text((output / "recipe.json").read_text().replace('"min_area"', '"least_area"'))
    with pytest.raises(RecipeError, match="a recipe that this version cannot read .*least_area.*--overwrite"):
        claim(output, label_set, None, overwrite=False)


def test_other_images_are_refused(begun):
    output, label_set = begun
    other = type(label_set)(label_set.recipe, ScenesSource(1, 0, 64, 128), label_set.store)
    with pytest.raises(InputError, match="label set of other images: data_dir: None != .*--overwrite"):
        claim(output, other, None, overwrite=False)


def test_images_that_moved_are_the_same_images(begun, inputs, settings, tmp_path):
    output, label_set = begun
    build(label_set, output, workers=1, progress=False)
    identity = label_set.identity
    shutil.move(inputs / "photos", inputs / "moved")
    try:
        with pytest.raises(InputError, match="was begun from there; give the new place to `mbps build --data-dir"):
            BuildOrder.read(output).open(output)
        (inputs / "photos").symlink_to(inputs / "moved")
        (inputs / "photos").rename(inputs / "link")
        from mbps_dataset.labelling.labelling import Labelling
        from mbps_dataset.sources import FolderSource

        moved = Labelling(label_set.recipe, FolderSource(inputs / "moved"), label_set.store)
        assert moved.identity == identity
        assert build(moved, output, workers=1, progress=False).rows == 3
    finally:
        shutil.move(inputs / "moved", inputs / "photos")


def test_dropping_a_split_is_refused(settings, tmp_path):
    from mbps_dataset.labelling.labelling import Labelling
    from mbps_dataset.named_recipes import get_recipe
    from mbps_dataset.store import Store

    source, store = ScenesSource(1, 1, 64, 128), Store(tmp_path / "stages")
    claim(tmp_path, Labelling(get_recipe("demo"), source, store), None, overwrite=False)
    with pytest.raises(InputError, match="also holds the split 'train'; name every split.*--split"):
        claim(tmp_path, Labelling(get_recipe("demo"), source, store, ("validation",)), None, overwrite=False)


def test_the_number_of_shards_stays(begun):
    output, label_set = begun
    claim(output, label_set, 3, overwrite=False)
    assert claim(output, label_set, None, overwrite=False).shards == 3
    with pytest.raises(InputError, match="is being built in 3 shards, not 2"):
        claim(output, label_set, 2, overwrite=False)
    assert claim(output, label_set, 2, overwrite=True).shards == 2
    assert claim(output, label_set, None, overwrite=True).shards is None


def test_a_folder_is_named_as_it_was_typed_and_is_the_same_by_any_name(begun, inputs, settings, tmp_path, monkeypatch):
    output, label_set = begun
    (tmp_path / "link").symlink_to(inputs)
    monkeypatch.chdir(tmp_path)
    by_link = Labelling(label_set.recipe, FolderSource("link/photos"), label_set.store)
    assert by_link.source.describe()["data_dir"] == str(tmp_path / "link/photos")
    order = claim(output, by_link, None, overwrite=False)
    assert order.source["data_dir"] == str(tmp_path / "link/photos")
    (tmp_path / "link").unlink()
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path / 'link/photos'))} does not exist"):
        order.open(output)


@pytest.mark.parametrize(
    "changed",
    [
        {"splits": ["../../x"]}, {"splits": []}, {"splits": "train"}, {"splits": [1]}, {"splits": None},
        {"recipe": [1]}, {"recipe": {"name": "../x"}}, {"source": []}, {"source": {}}, {"source": {"name": ["folder"]}},
        {"limit": "3"}, {"limit": 0}, {"limit": True}, {"shards": -1}, {"shards": 1.5}, {"device": 0}, {"contents": [1]},
    ],
)  # fmt: skip
def test_a_note_of_another_form_is_none_though_its_checksum_fits(begun, changed):
    output, _ = begun
    store = Store(output / "stages")
    document = store.get_json("build.json")
    store.put_json("build.json", document | changed)
    assert BuildOrder.read(output) is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "nowhere"}, "Unknown source 'nowhere'; known are"),
        ({"name": "folder", "more": 1}, "The source 'folder' takes no 'more'"),
        ({"name": "folder"}, "The source 'folder' needs --data-dir DIR"),
        ({"name": "folder", "data_dir": 5}, "The source 'folder' cannot be opened with {'data_dir': 5}"),
        ({"name": "scenes", "train": "x"}, "The source 'scenes' cannot be opened with {'train': 'x'}"),
        ({"name": "scenes", "train": 10**12}, "Asked for 1000000000000 scenes of a split; there are 1000000"),
    ],
)
def test_a_source_that_cannot_be_is_one_line_in_every_command_that_opens_it(begun, source, message, capsys):
    output, _ = begun
    store = Store(output / "stages")
    store.put_json("build.json", store.get_json("build.json") | {"source": source})
    for command in ("resume", "info"):
        assert cli.main([command, str(output)]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and message in said


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": "2.0.0"}', '{"format_version": "1.0.0"'])
def test_what_is_neither_an_order_nor_a_set_cannot_be_resumed(content, tmp_path, capsys):
    (tmp_path / "labelset.json").write_text(content)
    assert cli.main(["resume", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "does not say what it is to hold" in said
    assert [path.name for path in tmp_path.iterdir()] == ["labelset.json"]
