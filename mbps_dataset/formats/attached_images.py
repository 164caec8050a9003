"""The images of labels that are kept without them: of the source the labels were made from, or of a folder that is named.

Decisions (ours): an image belongs to a label by image id, or by its bare name where only one image has that; none is made
up. An image that is missing ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbps_dataset.errors import InputError
from mbps_dataset.sources import Frame, Source, open_source, source_of_folder


_MOST_NAMES = 3


@dataclass(frozen=True)
class AttachedImages:
    """Where images come from that a set does not hold: the source that was named, or that of the set."""

    data_dir: Path | None = None
    source: str | None = None

    def frames(self, name: str, splits: Sequence[str], own: Callable[[], Source] | None) -> Mapping[str, Frame]:
        """Frames by image id, those of `splits` first. Raises `InputError` saying how images are attached."""
        try:
            if self.data_dir is not None:
                opened = open_source(self.source or source_of_folder(self.data_dir), data_dir=str(self.data_dir))
            elif own is None:
                raise InputError("it does not know where they are.")
            else:
                opened = own()
        except InputError as error:
            raise InputError(
                f"{name} holds labels without images: {error} Attach them with --data-dir DIR, the folder of the images "
                "that were labelled (and --source, where it is not guessed right)."
            ) from None
        ordered = sorted(opened.splits(), key=lambda split: split not in splits)
        frames: dict[str, Frame] = {}
        for split in ordered:
            for frame in opened.frames(split):
                frames.setdefault(frame.image_id, frame)
        return frames


def joined_frames(name: str, image_ids: Sequence[str], frames: Mapping[str, Frame]) -> dict[str, Frame]:
    """The frame of every image id, by its name where the whole id is not known and the name is of one frame only."""
    by_name: dict[str, list[Frame]] = {}
    for image_id, frame in frames.items():
        by_name.setdefault(image_id.rsplit("/", 1)[-1], []).append(frame)
    found = {}
    for image_id in image_ids:
        alike = by_name.get(image_id.rsplit("/", 1)[-1], [])
        if (its := frames.get(image_id) or (alike[0] if len(alike) == 1 else None)) is not None:
            found[image_id] = its
    if missing := [image_id for image_id in image_ids if image_id not in found]:
        raise InputError(
            f"{name}: no image for {len(missing)} of {len(image_ids)} labels, e.g. {', '.join(missing[:_MOST_NAMES])}; give "
            "the folder of the images that were labelled with --data-dir."
        )
    return found
