"""Merging a release into the card that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from mbps_dataset.errors import PublishError
from mbps_dataset.hub.release import Release, prepare
from mbps_dataset.hub.release_card import recipe_body, repository_card, split_card
from mbps_dataset.labelset.card import digests_in
from mbps_dataset.named_recipes import RECIPES
from tests.hub.label_sets import make_label_set


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Release:
    folder = tmp_path_factory.mktemp("card")
    return prepare(make_label_set(folder / "set"), "v1.0.0", folder / "scratch")


def merged(release: Release, metadata: dict, body: str = "Theirs.\n", **options: bool) -> tuple[dict, str]:
    existing = f"---\r\n{yaml.safe_dump(metadata)}---\r\n{body}"
    return split_card(repository_card(release, "org/x", existing, paths=(), **options))


def test_other_entries_keys_and_sizes_stay_and_ours_are_renewed(release):
    others = [{"config_name": "a", "default": True, "data_files": "a/*"}, {"config_name": "mbps", "default": False}]
    info = [{"config_name": "a", "dataset_size": 1}, {"config_name": "mbps", "dataset_size": 2}]
    metadata, body = merged(release, {"configs": others, "dataset_info": info, "tags": "cars", "license": "mit"})
    assert metadata["configs"][0] == others[0] and metadata["configs"][1]["version"] == "1.0.0"
    assert "default" not in metadata["configs"][1] and metadata["dataset_info"] == info[0]
    assert metadata["tags"][0] == "cars" and "pseudo-labels" in metadata["tags"] and metadata["license"] == "other"
    assert body.strip().startswith("Theirs.") and "| `a` | yes | – | – | – |" in body


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({}, ("other", "terms-of-the-source-images", None)),
        ({"license": "mit"}, ("other", "terms-of-the-source-images", None)),
        ({"license": "other", "license_name": "a", "license_link": "LICENSE"}, ("other", "a", "LICENSE")),
        ({"license": "other", "license_name": "a"}, ("other", "a", None)),
        ({"license": "other"}, ("other", "terms-of-the-source-images", None)),
    ],
)
def test_a_licence_without_a_name_of_its_own_has_one_with_its_link(release, theirs, expected):
    others = {"configs": [{"config_name": "a", "default": True, "data_files": "a/*"}]}
    metadata, _ = merged(release, others | theirs)
    assert (metadata["license"], metadata["license_name"], metadata.get("license_link")) == expected


def test_our_licence_replaces_theirs_whole_where_our_card_is_the_page(release):
    metadata, _ = merged(release, {"license": "other", "license_name": "a", "license_link": "LICENSE"})
    assert (metadata["license_name"], metadata.get("license_link")) == ("terms-of-the-source-images", None)


def test_a_configuration_says_in_words_what_it_is_and_then_its_digests(release):
    (entry,) = merged(release, {})[0]["configs"]
    assert entry["description"].startswith(
        f"Semantic, instance, panoptic and depth maps of street images, made by the recipe mbps ({RECIPES['mbps'].summary})."
    )
    assert digests_in(entry["description"]) == f"sha256:{release.identity} files sha256:{release.digest}"


def test_the_list_of_recipes_holds_digests_of_this_and_earlier_releases(release):
    others = [{"config_name": "a", "description": "sha256:12 files sha256:34", "data_files": "a/*"}]
    _, body = merged(release, {"configs": others})
    assert "| `a` |  | – | `sha256:12` `sha256:34` |" in body
    assert f"| `sha256:{release.identity}` `sha256:{release.digest}` |" in body


def test_the_card_says_how_the_images_of_this_source_and_split_are_joined(release):
    document = {
        **release.document,
        "source": {"name": "kitti", "data_dir": "<data_dir>"},
        "splits": ["validation", "train"],
    }
    body = recipe_body(replace(release, document=document), "o/x", "p.png")
    assert 'attach_images(ds["validation"], "path/to/the/images", source="kitti")' in body
    document["source"] = {"name": "cityscapes", "data_dir": "<data_dir>", "sequence": True}
    body = recipe_body(replace(release, document=document), "o/x", "p.png")
    assert '"path/to/the/images", source="cityscapes", sequence=True)' in body


def test_a_lost_default_comes_back(release):
    metadata, _ = merged(release, {"configs": [{"config_name": "mbps", "data_files": "x"}, {"config_name": "b"}]})
    assert [entry.get("default") for entry in metadata["configs"]] == [True, None]


def test_a_configuration_named_default_stays_the_default(release):
    metadata, _ = merged(release, {"configs": [{"config_name": "default", "data_files": "x"}]})
    assert "default" not in metadata["configs"][1]
    with pytest.raises(PublishError, match="configuration called 'default'"):
        merged(release, {"configs": [{"config_name": "default"}]}, make_default=True)


@pytest.mark.parametrize(
    "existing", [None, "---\nlanguage: [en]\nwidth: 3\nconfigs: []\nlicense: mit\n---\nTheirs.\n"]
)
def test_pushing_once_more_changes_nothing(release, existing):
    once = repository_card(release, "org/x", existing, paths=())
    assert repository_card(release, "org/x", once, paths=()) == once
    assert once.startswith("---\nlicense: other\nlicense_name: terms-of-the-source-images\npretty_name: ") and (
        "width: 3" in once
    ) == (existing is not None)


def test_metadata_without_a_page_gets_ours(release):
    metadata, body = merged(release, {"license": "other"}, body="")
    assert "recipe `mbps`" in body and metadata["configs"][0]["default"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\nconfigs: {a: 1}\n---\n", "`configs` is not a list of named entries"),
        ("---\n- a\n---\n", "is not a mapping"),
        ("---\n1: a\n---\n", "is not a mapping"),
        ("---\na: [\n---\n", "is not YAML"),
    ],
)
def test_metadata_that_cannot_be_kept_is_not_overwritten(release, text, message):
    with pytest.raises(PublishError, match=message):
        repository_card(release, "org/x", text, paths=())


def test_text_without_metadata_is_a_page(release):
    assert split_card("# Title\n\n---\n\na rule, no metadata\n---\n") == (
        {},
        "# Title\n\n---\n\na rule, no metadata\n---\n",
    )
