"""What detectron2's Panoptic-FPN reads: its "separated" COCO registration, instances and stuff apart.

    TARGET/register_with_detectron2.py
    TARGET/images/SPLIT/X.jpg
    TARGET/panoptic_SPLIT/X.png              segment ids, ``R + 256 G + 65536 B``, 0 = void
    TARGET/panoptic_stuff_SPLIT/X.png        0 any thing, 1 … the stuff classes by class id, 255 void
    TARGET/annotations/panoptic_SPLIT.json   annotations, images, categories
    TARGET/annotations/instances_SPLIT.json  things as run-length masks

Decisions: images are called ``.jpg`` whatever they are, because its loader of stuff knows no other suffix; detectron2 opens
files by what they hold. A pixel of a thing class without an instance is void. The masks are run-length codes, for which
``INPUT.MASK_FORMAT`` must be ``bitmask``. For Mask2Former's own registration there is ``--format maskformer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.formats import coco_panoptic
from mbps_dataset.formats.description import Description, LabelRow, split_folder
from mbps_dataset.formats.target import CocoFile, save_png
from mbps_dataset.formats.trainer_folder import HELD as HELD
from mbps_dataset.formats.trainer_folder import NOT_HELD as NOT_HELD
from mbps_dataset.formats.trainer_folder import Places, TrainerFolder, names_of, ordered_categories


LABEL_FILES = ("annotations/panoptic_*.json", "panoptic_*/*.png")
PLACES = Places("images/{}", "panoptic_{}", "annotations/panoptic_{}.json")
location, readers = PLACES.location, PLACES.readers
VOID, MOST_STUFF = 255, 254

_REGISTRATION = '''\
"""Registers this folder with detectron2: import it before training. Written by mbps export.

The data sets are {registered}. For Panoptic-FPN set

    INPUT.MASK_FORMAT = "bitmask"
    MODEL.ROI_HEADS.NUM_CLASSES = {things}
    MODEL.SEM_SEG_HEAD.NUM_CLASSES = {semantic}
"""

from pathlib import Path

from detectron2.data.datasets import register_coco_panoptic_separated

ROOT = Path(__file__).resolve().parent
METADATA = {metadata}

for split in {splits}:
    register_coco_panoptic_separated(
        f"mbps_{{split}}",
        METADATA,
        str(ROOT / "images" / split),
        str(ROOT / f"panoptic_{{split}}"),
        str(ROOT / "annotations" / f"panoptic_{{split}}.json"),
        str(ROOT / f"panoptic_stuff_{{split}}"),
        str(ROOT / "annotations" / f"instances_{{split}}.json"),
    )
'''


class Writer(TrainerFolder):
    """Writes one split below `folder`."""

    places, suffix = PLACES, ".jpg"

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        super().__init__(folder, description, split)
        name = split_folder(split)
        self.stuff = folder / f"panoptic_stuff_{name}"
        things = [category for category in ordered_categories(description) if category["isthing"]]
        self.instances = CocoFile(folder / f"annotations/instances_{name}.json", things, description.summary())
        self.written = 0

    @staticmethod
    def check(description: Description) -> None:
        """Raises `InputError` for more stuff classes than 8 bits hold beside things and void."""
        count = len(names_of(description, isthing=False))
        if count > MOST_STUFF:
            raise InputError(
                f"detectron2's maps of stuff hold at most {MOST_STUFF} classes, but the label set has {count}."
            )

    def write_more(self, labels: LabelRow, image: Mapping[str, Any]) -> None:
        """The map of stuff, and an annotation a thing."""
        values = stuff_values(self.description)
        of_segment = {s["id"]: 0 if s["isthing"] else values[s["category_id"]] for s in labels.segments}
        save_png(self.stuff / f"{Path(image['file_name']).stem}.png", labels.painted(of_segment, np.uint8, VOID))
        annotations = []
        for segment in labels.things():
            self.written += 1
            mask = run_lengths(labels.panoptic == segment["id"])
            changes = {"id": self.written, "image_id": image["id"]}
            annotations.append(coco_panoptic.coco_segment(segment, **changes) | {"segmentation": mask})
        self.instances.add(dict(image), *annotations)

    def close(self) -> None:
        """Finish the split."""
        super().close()
        self.instances.close()


def stuff_values(description: Description) -> dict[int, int]:
    """Value in a map of stuff by class id: 1 for the lowest stuff class."""
    return {class_id: value for value, class_id in enumerate(names_of(description, isthing=False), start=1)}


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's run-length code of a mask [H, W], without compression: runs down the columns, the first of pixels outside."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return {"size": list(mask.shape), "counts": counts.tolist()}


def finish(folder: Path, description: Description) -> tuple[str, ...]:
    """Write ``register_with_detectron2.py``; there is nothing a person should know."""
    things, stuff = (names_of(description, isthing=isthing) for isthing in (True, False))
    colours = description.palette().tolist()
    metadata = {
        "thing_classes": list(things.values()),
        "thing_colors": [colours[k] for k in things],
        "thing_dataset_id_to_contiguous_id": {k: place for place, k in enumerate(things)},
        "stuff_classes": ["things", *stuff.values()],
        "stuff_colors": [[255, 255, 255], *(colours[k] for k in stuff)],
        "stuff_dataset_id_to_contiguous_id": stuff_values(description),
    }
    splits = [split_folder(split) for split in description.splits]
    text = _REGISTRATION.format(
        registered=", ".join(f"mbps_{split}_separated" for split in splits),
        things=len(things),
        semantic=len(stuff) + 1,
        metadata="{\n" + "".join(f"    {key!r}: {value!r},\n" for key, value in metadata.items()) + "}",
        splits=splits,
    )
    (folder / "register_with_detectron2.py").write_text(text, encoding="utf-8")
    return ()
