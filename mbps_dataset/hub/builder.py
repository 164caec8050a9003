"""The `datasets` builder: the pipeline inside ``_generate_examples``.

Decisions, each for something measured on datasets 5.2:

* the cache folder is ``mbps-pseudo/RECIPE/IDENTITY``: `datasets` would leave weights, code and file contents out of it
  and put the spelling of arguments in. Its folder of the version is left out, because a process that does not import
  `mbps_dataset` would take whatever lies three folders below the name for the data set of that name, the newest first;
* a set of the same identity that ``mbps build`` has finished in ``build/RECIPE`` is copied, not made again;
* rows are ready PNG bytes (see `mbps_dataset.records`), so that map-style, streaming and ``num_proc`` give equal bytes;
* networks run before, in fresh processes that fill the store; a forked ``num_proc`` worker only assembles rows from it,
  with one torch thread, because torch with several threads hangs after a fork;
* the writer's batch is 16 rows: the default of 100 would hold 100 images in memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import datasets

from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError
from mbps_dataset.hub.python_words import in_python_words
from mbps_dataset.labelling.calibration import class_names
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.card import recipe_in_words
from mbps_dataset.labelset.document import describe
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.finished import finished_set
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.parquet_files import read_rows
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import features
from mbps_dataset.sources import Source, open_source, source_of_folder
from mbps_dataset.store import Store


logger = logging.getLogger(__name__)


def default_store_path() -> Path:
    """Where stage results go when no folder is given: ``$MBPS_HOME`` or ``~/.cache/mbps_dataset``."""
    return Path(os.environ.get("MBPS_HOME", "~/.cache/mbps_dataset")).expanduser() / "stages"


@dataclass
class MBPSConfig(datasets.BuilderConfig):
    """Configuration of `MBPSPseudo`; `name` is a recipe.

    `recipe_file` is a recipe .json to take instead, whose name then names the configuration; `source` one of
    `mbps_dataset.sources.SOURCES` (guessed from what `data_dir` holds if None) with `source_options`;
    `settings` as on the command line (``["instances.grad_threshold=0.2"]``); `splits` to build (default all); `limit`
    images a split; `store` folder of stage results; `workers` processes; `device` of torch.
    """

    version: datasets.Version | str | None = __version__
    recipe_file: str | None = None
    source: str | None = None
    source_options: dict[str, Any] | None = None
    settings: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    limit: int | None = None
    store: str | None = None
    workers: int | None = None
    device: str | None = None

    @classmethod
    def for_recipe(cls, name_or_path: str, **options: Any) -> MBPSConfig:
        """The configuration of a named recipe or of a recipe .json. Raises `RecipeError`."""
        recipe_file = None if name_or_path in RECIPES else name_or_path
        return cls(name=get_recipe(name_or_path).name, recipe_file=recipe_file, **options)

    def recipe(self) -> Recipe:
        """The recipe with `settings` applied. Raises `RecipeError`."""
        return get_recipe(self.recipe_file or self.name).with_settings(
            [self.settings] if isinstance(self.settings, str) else self.settings or ()
        )

    def source_name(self) -> str:
        """The source that is asked for, or guessed from what `data_dir` holds. Raises `InputError`."""
        if self.source is not None:
            return self.source
        if self.data_dir is not None:
            return source_of_folder(self.data_dir)
        if self.name in ("demo", "demo-motion"):
            return "scenes"
        raise InputError(
            f"The recipe {self.name!r} needs images: pass --data-dir FOLDER (a tree of Cityscapes or KITTI, stereo video, or any folder of "
            "photographs), or --source scenes."
        )

    def open_source(self) -> Source:
        """The source of images. Raises `InputError`."""
        return open_source(self.source_name(), data_dir=self.data_dir, **(self.source_options or {}))

    def open_label_set(self) -> Labelling:
        """Recipe, source and store together."""
        return Labelling(
            recipe=self.recipe(),
            source=self.open_source(),
            store=Store(self.store or default_store_path()),
            splits=tuple(self.splits or ()),
            limit=self.limit,
            device=self.device or default_device(),
        )


def default_device() -> str:
    """ "cuda" where there is one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class MBPSPseudo(datasets.GeneratorBasedBuilder):
    """Panoptic pseudo-labels, made from images without human labels (see the package's README)."""

    BUILDER_CONFIG_CLASS = MBPSConfig
    BUILDER_CONFIGS = [
        MBPSConfig(name=name, description=recipe_in_words(name, recipe.summary)) for name, recipe in RECIPES.items()
    ]
    DEFAULT_CONFIG_NAME = "demo"
    DEFAULT_WRITER_BATCH_SIZE = 16

    def _create_builder_config(self, config_name=None, custom_features=None, config_id=None, **kwargs):  # type: ignore[no-untyped-def]
        builder_config, _ = super()._create_builder_config(config_name, custom_features, config_id, **kwargs)
        with in_python_words():
            self.label_set = builder_config.open_label_set()
            self.label_set.require_truth()
            self.hash = self.label_set.identity[:32]
        builder_config.name = self.label_set.recipe.name
        return builder_config, builder_config.name

    def _relative_data_dir(self, with_version: bool = True, with_hash: bool = True) -> str:
        """Without the folder of the version, which the identity covers; see the module."""
        return super()._relative_data_dir(with_version=False, with_hash=with_hash)

    @cached_property
    def finished(self) -> LabelSetFolder | None:
        """A whole set of the same identity in ``build/RECIPE``; None if there is none, or a store was asked for."""
        if self.config.store is not None:
            return None
        return finished_set(Path("build", self.config.name).absolute(), self.label_set.identity)

    def _info(self) -> datasets.DatasetInfo:
        recipe = self.label_set.recipe
        return datasets.DatasetInfo(
            description=recipe_in_words(recipe.name, recipe.summary),
            features=features(
                class_names(recipe), with_image=recipe.output.with_images, with_preview=recipe.output.with_preview
            ),
            version=__version__,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        parts = {
            split: {"files": self.finished.files(split)}
            if self.finished is not None
            else {"split": split, "indices": list(range(len(self.label_set.frames(split))))}
            for split in self.label_set.splits
        }
        return [datasets.SplitGenerator(name=split, gen_kwargs=part) for split, part in parts.items()]

    def _download_and_prepare(self, dl_manager, verification_mode, **prepare_split_kwargs):  # type: ignore[no-untyped-def]
        progress = datasets.utils.logging.is_progress_bar_enabled()
        told = logging.WARNING if progress else logging.INFO
        with in_python_words():
            if self.finished is not None:
                logger.log(
                    told, "mbps-pseudo: taken from %s, a finished set of the same identity.", self.finished.root
                )
            else:
                images, store = sum(map(len, map(self.label_set.frames, self.label_set.splits))), self.label_set.store
                logger.log(told, "mbps-pseudo: labelling %d images; what is done is kept in %s (store=FOLDER or MBPS_HOME "
                           "choose another place).", images, store.root)  # fmt: skip
                self.label_set.prepare(worker_count=self.config.workers, progress=progress)
            super()._download_and_prepare(dl_manager, verification_mode, **prepare_split_kwargs)
            write_document(Path(self._output_dir) / "labelset.json", self._document())

    def _document(self) -> dict[str, Any]:
        """``labelset.json`` beside the cached rows, which are in one file a split that `datasets` names."""
        if self.finished is not None:
            return {key: value for key, value in self.finished.document.items() if key != "files"}
        return describe(self.label_set, {name: {"rows": info.num_examples} for name, info in self.info.splits.items()})

    def _generate_examples(
        self, split: str = "", indices: Sequence[int] = (), files: Sequence[Path] = ()
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        with in_python_words():
            yield from enumerate(chain.from_iterable(map(read_rows, files)))
            if indices:
                yield from self.label_set.rows(split, indices)
