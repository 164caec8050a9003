"""The cards of a release: one per recipe, and the repository's, which holds every recipe's configuration.

Decisions (ours). A push owns its recipe's `configs:` entry and leaves the others, their `default` and every key that
somebody added on the website as they are; `datasets` drops all of that when it pushes a configuration again (measured on
datasets 5.2). Each entry carries version and digests, so that a downloaded copy is never confused with an older one in
the cache of `datasets`. The first recipe pushed is the default and its card is the repository's page; the others are
listed below it with links to their own cards.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml
from huggingface_hub import DatasetCard

from mbps_dataset.errors import PublishError
from mbps_dataset.hub.release import Release
from mbps_dataset.labelset import card


_FRONT_MATTER = re.compile(r"\A\s*---\n.*?^---$", re.DOTALL | re.MULTILINE)
_LIST = re.compile(r"\n*<!-- recipes of this repository -->.*?<!-- end of recipes -->\n*", re.DOTALL)


def recipe_body(release: Release, repo_id: str, preview: str) -> str:
    """The card of the release's recipe, Markdown without metadata; `preview` is the picture's path beside the card."""
    document = copy.deepcopy(dict(release.document))
    output = document["recipe"]["settings"]["output"]
    output["with_images"], output["with_preview"] = release.with_images, document["release"]["preview"]
    _, body = split_card(card.render(document, quality=release.quality, preview=preview))
    body = body.replace('"PATH_OR_HUB_ID"', f'"{repo_id}"').replace(
        f'"{repo_id}", "{release.recipe}")', f'"{repo_id}", "{release.recipe}", revision="{release.tag}")'
    )
    notes = _version_note(release) + ("" if release.with_images else _images_note(document))
    head, columns, tail = body.partition("## Columns\n")
    return f"{head}{notes}{columns}{tail}" if columns else f"{body}\n{notes}"


def _version_note(release: Release) -> str:
    return (
        "## Versions\n\n"
        "A tag of this repository is a release and never changes; without `revision=` the newest state is loaded.\n"
        f"Release `{release.tag}` of `{release.recipe}`: digest of the Parquet files `{release.digest}`, checksum of each "
        "in `labelset.json`.\n\n"
    )


def _images_note(document: Mapping[str, Any]) -> str:
    source, split = document["source"]["name"], document["splits"][0]
    if source == "scenes":
        how = "They are rendered: the same recipe renders them again, with the same ids.\n\n"
    else:
        options = "".join(f", {name}=True" for name in ("sequence",) if document["source"].get(name) is True)
        how = (
            "Whoever has them joins them by `image_id`:\n\n"
            "```python\n"
            "from mbps_dataset import attach_images\n\n"
            f'with_images = attach_images(ds["{split}"], "path/to/the/images", source="{source}"{options})\n'
            "```\n\n"
        )
    return f"## Images\n\nThis dataset holds labels only; the images are not part of it. {how}"


def configuration(release: Release) -> dict[str, Any]:
    """The recipe's entry of `configs:`, without `default`."""
    entry = dict(card.metadata(release.document)["configs"][0])
    entry.pop("default", None)
    entry["version"] = release.version
    recipe = release.document["recipe"]
    entry["description"] = card.with_digests(
        card.recipe_in_words(recipe["name"], recipe["summary"]),
        f"sha256:{release.identity} files sha256:{release.digest}",
    )
    entry["data_files"] = [
        {"split": item["split"], "path": f"{release.recipe}/{item['split']}-*.parquet"} for item in entry["data_files"]
    ]
    return entry


def repository_card(
    release: Release, repo_id: str, existing: str | None, *, paths: Collection[str], make_default: bool = False
) -> str:
    """The repository's README.md after this release, from the one that is there (None if there is none).

    `paths` are the files of the repository after the push. Raises `PublishError` if the existing metadata is not YAML,
    or if another configuration insists on being the default.
    """
    metadata, body = split_card(existing or "")
    configs = metadata.get("configs") or []
    if not isinstance(configs, list) or not all(
        isinstance(entry, dict) and "config_name" in entry for entry in configs
    ):
        raise PublishError(
            f"README.md of {repo_id}: `configs` is not a list of named entries; mend it on the Hub first."
        )
    configs = _with_entry(configs, configuration(release), make_default, repo_id)
    is_default = any(entry["config_name"] == release.recipe and entry.get("default") for entry in configs)
    ours = card.metadata(release.document)
    merged = _merged_metadata(metadata, ours, ours_first=is_default)
    merged["configs"] = configs
    _drop_stale_info(merged, release.recipe)
    merged = {
        key: merged[key] for key in ours if key in merged
    } | merged  # in an order that pushing once more does not change
    body = _LIST.sub("\n", body)
    if is_default or not body.strip():
        body = recipe_body(release, repo_id, preview=f"{release.recipe}/preview.png")
    body = f"{body.strip()}\n{_list_of_recipes(configs, paths)}"
    return f"---\n{card.front_matter(merged)}\n---\n\n{body}"


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Metadata and body of a card. Raises `PublishError` if the metadata cannot be read, rather than losing it."""
    text = text.replace("\r\n", "\n")
    if not _FRONT_MATTER.match(text):  # about which DatasetCard would warn
        return {}, text
    try:
        found = DatasetCard(text)
    except yaml.YAMLError as error:
        raise PublishError(f"The metadata of README.md is not YAML ({' '.join(str(error).split())}); "
                           "mend it on the Hub first.") from error  # fmt: skip
    except (ValueError, TypeError) as error:
        raise PublishError("The metadata of README.md is not a mapping; mend it on the Hub first.") from error
    return found.data.to_dict(), found.text


def _with_entry(
    configs: Sequence[Mapping[str, Any]], ours: Mapping[str, Any], make_default: bool, repo_id: str
) -> list[dict[str, Any]]:
    """All entries with ours in its old place or last; exactly one of them is the default."""
    name = ours["config_name"]
    others = [dict(entry) for entry in configs if entry["config_name"] != name]
    owner = next((e["config_name"] for e in others if e.get("default") or e["config_name"] == "default"), None)
    if make_default and owner == "default":
        raise PublishError(f"{repo_id} has a configuration called 'default', which `datasets` always takes as the "
                           "default; rename it on the Hub first.")  # fmt: skip
    if make_default:
        for entry in others:
            entry.pop("default", None)
    entry = dict(ours)
    if make_default or owner is None:
        entry = {"config_name": name, "default": True, **{k: v for k, v in ours.items() if k != "config_name"}}
    place = next((index for index, old in enumerate(configs) if old["config_name"] == name), len(others))
    return [*others[:place], entry, *others[place:]]


def _merged_metadata(theirs: Mapping[str, Any], ours: Mapping[str, Any], *, ours_first: bool) -> dict[str, Any]:
    merged = {**theirs, **ours} if ours_first else {**ours, **theirs}
    for key in ("tags", "task_categories"):
        listed = theirs.get(key) or []
        merged[key] = list(dict.fromkeys([*([listed] if isinstance(listed, str) else listed), *ours[key]]))
    if "other" in (theirs.get("license"), ours["license"]):  # the stricter one holds for the whole repository
        merged["license"] = "other"
    for key in (
        "license_name",
        "license_link",
    ):  # both from one side, and only of a licence that has no name of its own
        merged.pop(key, None)
        named = next((s for s in ((ours, theirs) if ours_first else (theirs, ours)) if s.get("license_name")), {})
        if merged["license"] == "other" and key in named:
            merged[key] = named[key]
    return merged


def _drop_stale_info(metadata: dict[str, Any], recipe: str) -> None:
    """Forget sizes and counts that another tool noted for our configuration: `datasets` would check against them."""
    info = metadata.get("dataset_info")
    listed = info if isinstance(info, list) else [info] if isinstance(info, dict) else []
    kept = [entry for entry in listed if entry.get("config_name", "default") != recipe]
    metadata.pop("dataset_info", None)
    if kept:
        metadata["dataset_info"] = kept if len(kept) > 1 else kept[0]


def _list_of_recipes(configs: Sequence[Mapping[str, Any]], paths: Collection[str]) -> str:
    if len(configs) < 2:
        return ""
    lines = ["", "<!-- recipes of this repository -->", "## Recipes of this repository", "",
             "| configuration | default | version | digests | card |", "|---|---|---|---|---|"]  # fmt: skip
    for entry in configs:
        name = entry["config_name"]
        link = f"[card]({name}/README.md)" if f"{name}/README.md" in paths else "–"
        default = "yes" if entry.get("default") else ""
        digests = " ".join(
            f"`{word}`" for word in card.digests_in(entry.get("description")).split() if "sha256:" in word
        )
        lines.append(f"| `{name}` | {default} | {entry.get('version', '–')} | {digests or '–'} | {link} |")
    return "\n".join([*lines, "<!-- end of recipes -->", ""])
