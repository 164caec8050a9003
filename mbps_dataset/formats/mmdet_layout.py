"""What mmdetection's ``CocoPanopticDataset`` reads.

    TARGET/mask2former.py                        a configuration on top of mmdetection's own
    TARGET/images/SPLIT/X.jpg
    TARGET/annotations/panoptic_SPLIT/X.png      segment ids, ``R + 256 G + 65536 B``, 0 = void
    TARGET/annotations/panoptic_SPLIT.json       annotations, images, categories

Decisions: mmdetection numbers classes by their order in `categories`, and takes the first for things; they are listed so,
and ``metainfo`` in the same order. Images have the suffix of what they are, ``.jpg`` or ``.png``, because it finds the PNG
of a map by replacing the one by the other. Without a validation split the configuration validates nothing.
"""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.formats.description import Description
from mbps_dataset.formats.trainer_folder import HELD as HELD
from mbps_dataset.formats.trainer_folder import NOT_HELD as NOT_HELD
from mbps_dataset.formats.trainer_folder import Places, TrainerFolder, names_of, ordered_categories, train_and_val


LABEL_FILES = ("annotations/*.json", "annotations/panoptic_*/*.png")
PLACES = Places("images/{}", "annotations/panoptic_{}", "annotations/panoptic_{}.json")
location, readers = PLACES.location, PLACES.readers

_CONFIGURATION = """\
# Written by mbps export. Train: mim train mmdet mask2former.py
_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"

data_root = "{{{{ fileDirname }}}}/"
things = {things}
stuff = {stuff}
metainfo = dict(
    classes=things + stuff,
    thing_classes=things,
    stuff_classes=stuff,
    palette={palette},
)

model = dict(
    panoptic_head=dict(
        num_things_classes=len(things),
        num_stuff_classes=len(stuff),
        loss_cls=dict(class_weight=[1.0] * (len(things) + len(stuff)) + [0.1]),
    ),
    panoptic_fusion_head=dict(num_things_classes=len(things), num_stuff_classes=len(stuff)),
)

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file={train.json!r},
        data_prefix=dict(img={train.images!r}, seg={train.pictures!r}),
        metainfo=metainfo,
    )
)
"""

_VALIDATION = """\
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file={val.json!r},
        data_prefix=dict(img={val.images!r}, seg={val.pictures!r}),
        metainfo=metainfo,
    )
)
val_evaluator = [
    dict(
        type="CocoPanopticMetric",
        ann_file=data_root + {val.json!r},
        seg_prefix=data_root + {val.pictures!r},
    )
]
"""

_NO_VALIDATION = """\
val_dataloader = None
val_evaluator = None
val_cfg = None
"""

_NO_TEST = """\
test_dataloader = None
test_evaluator = None
test_cfg = None
"""


class Writer(TrainerFolder):
    """Writes one split below `folder`."""

    places = PLACES


def finish(folder: Path, description: Description) -> tuple[str, ...]:
    """Write ``mask2former.py``, and return what a person should know."""
    train, held = train_and_val(description)
    text = _CONFIGURATION.format(
        things=tuple(names_of(description, isthing=True).values()),
        stuff=tuple(names_of(description, isthing=False).values()),
        palette=[tuple(category["color"]) for category in ordered_categories(description)],
        train=PLACES.of(train),
    )
    validation = _NO_VALIDATION if held is None else _VALIDATION.format(val=PLACES.of(held))
    (folder / "mask2former.py").write_text(f"{text}\n{validation}\n{_NO_TEST}", encoding="utf-8")
    return () if held else ("there is no validation split, so mask2former.py validates nothing.",)
