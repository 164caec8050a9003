"""What LightlyTrain's panoptic training reads.

    TARGET/data.yaml                   the data set as `lightly_train.train_panoptic_segmentation` takes it
    TARGET/images/SPLIT/X.jpg
    TARGET/annotations/SPLIT/X.png     segment ids, ``R + 256 G + 65536 B``, 0 = void
    TARGET/annotations/SPLIT.json      annotations, images, categories

Decisions: ``ignore_classes`` are those that no image of the set has, so that no number is an average over classes that
cannot be found. LightlyTrain asks for a split ``val``; of a set without one ``val`` names its only split, and `mbps export`
says so. Its files are all that is used of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mbps_dataset.formats.description import Description
from mbps_dataset.formats.trainer_folder import HELD as HELD
from mbps_dataset.formats.trainer_folder import NOT_HELD as NOT_HELD
from mbps_dataset.formats.trainer_folder import Places, TrainerFolder, train_and_val


LABEL_FILES = ("annotations/*.json", "annotations/*/*.png")
PLACES = Places("images/{}", "annotations/{}", "annotations/{}.json")
location, readers = PLACES.location, PLACES.readers


class Writer(TrainerFolder):
    """Writes one split below `folder`."""

    places = PLACES


def finish(folder: Path, description: Description) -> tuple[str, ...]:
    """Write ``data.yaml``, and return what a person should know."""
    train, held = train_and_val(description)
    val = held or train
    lines = ["# Written by mbps export; paths are relative to this file."]
    for role, split in (("train", train), ("val", val)):
        here = PLACES.of(split)
        entries = {"images": here.images, "masks": here.pictures, "annotations": here.json}
        lines += [f"{role}:", *(f"  {key}: {json.dumps(value)}" for key, value in entries.items())]
    lines.append(f"ignore_classes: {unseen_classes(folder, description)}")
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if val == train:
        return (f"there is no validation split, so `val` of data.yaml is {train!r} too: its numbers say how well the "
                "training images are learned.",)  # fmt: skip
    return ()


def unseen_classes(folder: Path, description: Description) -> list[int]:
    """Class ids that no segment of any split has, ascending."""
    seen: set[int] = set()
    for split in description.splits:
        document: dict[str, Any] = json.loads((folder / PLACES.of(split).json).read_text(encoding="utf-8"))
        seen |= {s["category_id"] for each in document["annotations"] for s in each["segments_info"]}
    return sorted(set(range(len(description.class_names))) - seen)
