"""What a folder is being built from, written there first: any process can go on with it, on any machine that sees it.

    output/recipe.json          the recipe; whoever writes another one into the folder is refused
    output/stages/build.json    recipe, contents of its weights and files, source, splits, limit, number of shards, device

Both are written before any work is done. The second goes when ``stages/`` is deleted; a finished set then says the same
in its ``labelset.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.document_file import intact_document
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import fault_of_name
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import open_source
from mbps_dataset.store import Store, holds_bytes, write_atomically


_NAME = "build.json"
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class BuildOrder:
    """Recipe and source of a build.

    `contents` are digests of what the recipe names by a path or Hub id (None in orders that do not say); `shards`
    Parquet files a split (None: as the recipe says); `device` of torch.
    """

    recipe: Recipe
    source: Mapping[str, Any]
    splits: tuple[str, ...]
    limit: int | None = None
    shards: int | None = None
    device: str = "cpu"
    contents: Mapping[str, str] | None = None

    @classmethod
    def of(cls, label_set: Labelling, shards: int | None = None) -> BuildOrder:
        """The order to build `label_set`."""
        source = label_set.source.describe()
        run = label_set.run
        return cls(label_set.recipe, source, label_set.splits, label_set.limit, shards, label_set.device, run.contents)

    @classmethod
    def read(cls, output: Path) -> BuildOrder | None:
        """The order of a folder, finished or not; None if there is none, or only a damaged one."""
        document = Store(output / "stages").get_json(_NAME) or _from_finished(output)
        try:
            recipe = Recipe.from_json(document.pop("recipe"))
            known = {each.name for each in fields(cls)}
            given = {name: value for name, value in document.items() if name in known}
            order = cls(**given | {"recipe": recipe, "splits": tuple(document["splits"])})
        except (KeyError, TypeError, AttributeError, RecipeError):
            return None
        return order if isinstance(document["splits"], list) and order.is_possible() else None

    def is_possible(self) -> bool:
        """Whether the parts have the types and names they must have; a note is not always what was written."""
        counts = (self.limit, self.shards)
        return (
            isinstance(self.source, dict)
            and isinstance(self.source.get("name"), str)
            and bool(self.splits)
            and not any(map(fault_of_name, self.splits))
            and all(count is None or type(count) is int and count > 0 for count in counts)
            and isinstance(self.device, str)
            and (self.contents is None or isinstance(self.contents, dict))
        )

    def write(self, output: Path) -> None:
        """Write the order. Raises `StoreError`."""
        document = {**asdict(self), "recipe": self.recipe.to_json(), "splits": list(self.splits)}
        Store(output / "stages").put_json(_NAME, document)

    def open(self, output: Path, *, device: str | None = None) -> Labelling:
        """The label set to build. Raises `InputError` if its source has moved."""
        try:
            source = open_source(**self.source)
        except InputError as error:
            raise InputError(
                f"{error} {output} was begun from there; give the new place to `mbps build --data-dir … --output {output}`."
            ) from None
        return Labelling(self.recipe, source, Store(output / "stages"), self.splits, self.limit, device or self.device)


def _from_finished(output: Path) -> dict[str, Any]:
    document = intact_document(output / "labelset.json")
    order: dict[str, Any] = {key: document[key] for key in ("recipe", "source", "splits", "limit") if key in document}
    digests = document.get("digests", {})
    if "device" in digests:  # sets of earlier versions do not say
        order |= {"device": digests["device"], "contents": digests["weights"]}
    return order


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path, most_bytes=_MOST_BYTES)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def claim(output: Path, label_set: Labelling, shards: int | None, overwrite: bool) -> BuildOrder:
    """Make `output` the folder of this build and return its order, or say why it cannot be.

    What is there is continued: without `shards`, in as many as it was begun with. Raises `RecipeError` for another
    recipe, `InputError` for other images, fewer splits, another number of shards, or a folder of something else; none of
    them with `overwrite`. Raises `CalibrationError` if its clusters cannot be named, before anything is written.
    """
    label_set.require_truth()
    store = Store(output / "stages")
    if not overwrite:
        _refuse_other_things(output)
    with store.alone("claim"):
        found = BuildOrder.read(output)
        if found is not None and shards is None and not overwrite:
            shards = found.shards
        order = BuildOrder.of(label_set, shards)
        if not overwrite:
            _refuse_another_recipe(output, order, found)
            if found is not None:
                _refuse_another_order(output, order, found)
        if found is None or found != order:
            order.write(output)
        note, recipe = output / "recipe.json", (json.dumps(order.recipe.to_json(), indent=2) + "\n").encode()
        if not holds_bytes(note, recipe):
            write_atomically(note, recipe)
    return order


def _refuse_other_things(output: Path) -> None:
    ours = any((output / name).exists() for name in ("stages", "recipe.json", "labelset.json"))
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise InputError(f"{output} is not empty and holds no label set; choose an empty folder or pass --overwrite.")


def _refuse_another_recipe(output: Path, order: BuildOrder, found: BuildOrder | None) -> None:
    """Compare with the order, which has a checksum; only where that is lost, with ``recipe.json``."""
    recipe = order.recipe
    advice = "Choose another --output, or pass --overwrite to replace it."
    document = _read_json(output / "recipe.json")
    if found is None and "settings" not in document:  # not there, or damaged
        return
    try:
        other = found.recipe if found is not None else Recipe.from_json(document)
    except (RecipeError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{output} holds a label set of a recipe that this version cannot read ({error}). {advice}"
        ) from None
    changed = recipe.differences(other) + _other_contents(order, found)
    if changed:
        raise RecipeError(f"{output} holds a label set of another recipe: {'; '.join(changed[:6])}. {advice}")


def _other_contents(order: BuildOrder, found: BuildOrder | None) -> list[str]:
    """What the recipes name by the same settings but holds something else, in words."""
    if found is None or found.contents is None or order.contents is None:
        return []
    names = sorted({*order.contents, *found.contents})
    return [f"the files of {name} have other content" for name in names
            if order.contents.get(name) != found.contents.get(name)]  # fmt: skip


def _refuse_another_order(output: Path, order: BuildOrder, found: BuildOrder) -> None:
    advice = "Choose another --output, or pass --overwrite to replace it."
    keys = {**order.source, **found.source}
    changed = sorted(k for k in keys if _place(order.source.get(k)) != _place(found.source.get(k)))
    if changed and not _only_moved(found.source, order.source):
        told = "; ".join(f"{key}: {order.source.get(key)!r} != {found.source.get(key)!r}" for key in changed)
        raise InputError(f"{output} holds a label set of other images: {told}. {advice}")
    if missing := [split for split in found.splits if split not in order.splits]:
        raise InputError(
            f"{output} also holds the split {missing[0]!r}; name every split that is to stay with --split, or none. "
            f"{advice}"
        )
    kind, begun = (str(each.device).partition(":")[0] for each in (order, found))
    if kind != begun and found.contents is not None:
        raise InputError(
            f"{output} was begun on {begun}, and results of {kind} differ in the last digits: go on with --device {begun}. "
            f"{advice}"
        )
    if found.shards is not None and order.shards != found.shards:
        raise InputError(f"{output} is being built in {found.shards} shards, not {order.shards}. {advice}")


def _place(value: Any) -> Any:
    """A path without links, so that two names of one folder are the same; anything else as it is."""
    return os.path.realpath(value) if isinstance(value, str) and os.path.isabs(value) else value


def _only_moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether nothing but folders differs, and the old ones are gone; contents are compared by digest anyway."""
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return set(differing) <= {"data_dir", "truth_dir"} and not any(
        Path(str(old.get(key))).exists() for key in differing
    )
