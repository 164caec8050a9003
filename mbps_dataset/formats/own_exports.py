"""Finding out that a path belongs to an export of ours, and reading it as a label set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import MARKER, Description
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.layouts import FORMATS


_LEVELS_UP = 3


@dataclass(frozen=True)
class Exported:
    """An export, or the part of one that a path names."""

    root: Path
    description: Description
    splits: tuple[str, ...]

    def chosen(self, splits: Sequence[str]) -> tuple[str, ...]:
        """`splits`, or all that the path names for none. Raises `InputError` for an unknown split."""
        if unknown := [split for split in splits if split not in self.splits]:
            raise InputError(f"{self.root}: no split {unknown[0]!r}; there is {', '.join(self.splits)}.")
        return tuple(splits) or self.splits

    def readers(
        self, splits: Sequence[str], class_of: Mapping[int, int] | None, void: int | None
    ) -> dict[str, Callable[[], Labels]]:
        """Image id → reader over `splits` (none: all that the path names).

        `void` None means that of the label set. Raises `InputError` for an unknown split, for a file that is missing,
        and for an image id that is in two splits.
        """
        module = FORMATS[self.description.format]
        found: dict[str, Callable[[], Labels]] = {}
        for split in self.chosen(splits):
            void_here = self.description.void if void is None else void
            part = module.readers(self.root, self.description, split, class_of, void_here)
            if len(part) != self.description.splits[split]:
                raise InputError(
                    f"{self.root}: the split {split!r} has {len(part)} images, but {MARKER} counts "
                    f"{self.description.splits[split]}; copy the folder again, or export again."
                )
            if both := sorted(found.keys() & part.keys()):
                raise InputError(f"image {both[0]!r} is in two splits of {self.root}; choose one with --split.")
            found |= part
        return found


def find_export(path: Path) -> Exported | None:
    """The export that `path` is, or is a split of; None for any other path. Raises `InputError` if it is damaged."""
    absolute = path.expanduser().absolute()
    for root in (absolute, *absolute.parents[:_LEVELS_UP]):
        if (root / MARKER).is_file():
            description = Description.read(root / MARKER)
            if description.format not in FORMATS:
                raise InputError(f"{root / MARKER}: unknown format {description.format!r}; update mbps-dataset.")
            locate = FORMATS[description.format].location
            splits = tuple(
                split for split in description.splits if (root / locate(description, split)).is_relative_to(absolute)
            )
            return Exported(root, description, splits) if splits else None
    return None
