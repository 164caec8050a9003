"""The `datasets` builder: the pipeline inside ``_generate_examples``.

Decisions, each for something measured on datasets 5.2:

* the cache folder is ``mbps-pseudo/RECIPE/VERSION/IDENTITY``: `datasets` would leave weights, code and file contents
  out of it and put the spelling of arguments in;
* rows are ready PNG bytes (see `mbps_dataset.records`), so that map-style, streaming and ``num_proc`` give equal bytes;
* networks run before, in fresh processes that fill the store; a forked ``num_proc`` worker only assembles rows from it,
  with one torch thread, because torch with several threads hangs after a fork;
* the writer's batch is 16 rows: the default of 100 would hold 100 images in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import class_names
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.reading.names import shown
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import features
from mbps_dataset.sources import Source, open_source
from mbps_dataset.store import Store


def default_store_path() -> Path:
    """Where stage results go when no folder is given: ``$MBPS_HOME`` or ``~/.cache/mbps_dataset``."""
    return Path(os.environ.get("MBPS_HOME", "~/.cache/mbps_dataset")).expanduser() / "stages"


@dataclass
class MBPSConfig(datasets.BuilderConfig):
    """Configuration of `MBPSPseudo`; `name` is a recipe.

    `recipe_file` is a recipe .json to take instead, whose name then names the configuration; `source` "scenes",
    "cityscapes" or "folder" (guessed from `data_dir` if None) with `source_options`; `settings` as on the command line
    (``["instances.grad_threshold=0.2"]``); `splits` to build (default all); `limit` images a split; `store` folder of
    stage results; `workers` processes; `device` of torch.
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

    def open_source(self) -> Source:
        """The source of images. Raises `InputError`."""
        name = self.source
        if name is None and self.data_dir is None and self.name == "demo":
            name = "scenes"
        if name is None:
            if self.data_dir is None:
                raise InputError(
                    f"The recipe {self.name!r} needs images: pass data_dir=FOLDER (a Cityscapes tree or any folder of "
                    "photographs), or source='scenes'."
                )
            try:
                tree = (Path(self.data_dir).expanduser() / "leftImg8bit").is_dir()
            except (OSError, RuntimeError, ValueError) as error:  # too long; the home of a user who does not exist
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"data_dir {shown(self.data_dir)} is no path ({reason}); give a folder.") from None
            name = "cityscapes" if tree else "folder"
        return open_source(name, data_dir=self.data_dir, **(self.source_options or {}))

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
    BUILDER_CONFIGS = [MBPSConfig(name=name, description=recipe.summary) for name, recipe in RECIPES.items()]
    DEFAULT_CONFIG_NAME = "demo"
    DEFAULT_WRITER_BATCH_SIZE = 16

    def _create_builder_config(self, config_name=None, custom_features=None, config_id=None, **kwargs):  # type: ignore[no-untyped-def]
        builder_config, _ = super()._create_builder_config(config_name, custom_features, config_id, **kwargs)
        self.label_set = builder_config.open_label_set()
        builder_config.name = self.label_set.recipe.name
        self.hash = self.label_set.identity[:32]
        return builder_config, builder_config.name

    def _info(self) -> datasets.DatasetInfo:
        recipe = self.label_set.recipe
        return datasets.DatasetInfo(
            description=f"Panoptic pseudo-labels of recipe {recipe.name}: {recipe.summary}.",
            features=features(class_names(recipe), with_image=recipe.output.with_images),
            version=__version__,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(
                name=split,
                gen_kwargs={"split": split, "indices": list(range(len(self.label_set.frames(split))))},
            )
            for split in self.label_set.splits
        ]

    def _download_and_prepare(self, dl_manager, verification_mode, **prepare_split_kwargs):  # type: ignore[no-untyped-def]
        progress = datasets.utils.logging.is_progress_bar_enabled()
        self.label_set.prepare(worker_count=self.config.workers, progress=progress)
        super()._download_and_prepare(dl_manager, verification_mode, **prepare_split_kwargs)
        from mbps_dataset.labelset.document import describe
        from mbps_dataset.labelset.document_file import write_document

        counts = {name: {"rows": info.num_examples} for name, info in self.info.splits.items()}
        write_document(Path(self._output_dir) / "labelset.json", describe(self.label_set, counts))

    def _generate_examples(self, split: str, indices: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from self.label_set.rows(split, indices)
