"""Every source of images, by the name that `--source` takes: the one list that commands, docs and tests read.

A data set is added by one file in ``sources/`` and one line here; `mbps_dataset.sources.register` adds one from outside the
package. Classes are named as text, so that listing them imports none of them.
"""

from __future__ import annotations


SOURCE_CLASSES: dict[str, str] = {
    "scenes": "rendered:ScenesSource",
    "cityscapes": "cityscapes:CityscapesSource",
    "folder": "folder:FolderSource",
    "kitti": "kitti:KittiSource",
    "stereo": "stereo_folder:StereoFolderSource",
    "acdc": "acdc:AcdcSource",
    "bdd100k": "bdd100k:Bdd100kSource",
    "camvid": "camvid:CamVidSource",
    "coco": "coco:CocoSource",
    "hub": "hub:HubSource",
    "idd": "idd:IddSource",
    "kitti-panoptic": "kitti_panoptic:KittiPanopticSource",
    "kitti-step": "step:KittiStepSource",
    "motchallenge-step": "step:MotChallengeStepSource",
    "mots": "mots:MotsSource",
    "muses": "muses:MusesSource",
    "vistas": "vistas:VistasSource",
    "waymo": "waymo:WaymoSource",
}
"""Module below `mbps_dataset.sources`, and class, of each source."""

REGISTERED: dict[str, type] = {}
"""Classes of sources from outside the package."""


def source_names() -> tuple[str, ...]:
    """Names of all sources, in the order in which they are shown."""
    return (*SOURCE_CLASSES, *REGISTERED)
