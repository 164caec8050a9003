"""Published ways of scoring by name: sizes, crops, classes, convention, matching and groups in one word.

A number is comparable with a published one only where all of these are the same, so a protocol sets all of them and takes no
other. What each is of stands in `PROTOCOLS`, measured on the published code (CUPS, STEGO) or its report. Decisions (ours):

* maps are cut to the middle, and scaled by nearest neighbour, as label maps, as the published code does with both sides;
  a map smaller than the crop keeps its size;
* CUPS' protocols count predicted void as nobody's fault and groups as objects (convention "cups"); its 27 and STEGO's match
  once, without telling things from stuff; STEGO leaves clusters beyond its classes without one, so more than 27 are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from mbps_dataset.resizing import Rule, Scalar, resize_nearest


@dataclass(frozen=True)
class Protocol:
    """One way of scoring; `of` says whose numbers it gives.

    `matching` is taken for clusters; named classes are compared as they are. `short_side` scales maps so that their smaller
    side has that many pixels, by `rule`; `crop_hw` then cuts the middle out. `most_clusters` that it can match.
    """

    of: str
    classes: int
    convention: str
    matching: str
    crop_hw: tuple[int, int] | None = None
    short_side: int | None = None
    rule: Rule = "pillow"
    most_clusters: int | None = None

    def cut(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """A map [H, W] scaled and cut.

        >>> import numpy as np
        >>> PROTOCOLS["kitti-7"].cut(np.zeros((376, 1241))).shape, PROTOCOLS["cups-27"].cut(np.zeros((1024, 2048))).shape
        ((368, 1240), (320, 320))
        """
        if self.short_side is not None:
            smaller = min(array.shape)
            height, width = (side * self.short_side // smaller for side in array.shape)
            array = resize_nearest(array, height, width, self.rule)
        for axis, most in enumerate(self.crop_hw or ()):
            beyond = max(array.shape[axis] - most, 0)
            array = array.take(range(beyond // 2, beyond // 2 + array.shape[axis] - beyond), axis)
        return array


PROTOCOLS: dict[str, Protocol] = {
    "cups-19": Protocol("CUPS: PQ on Cityscapes val", 19, "cups", "hungarian_split", (1024, 2048)),
    "cups-27": Protocol("CUPS: mIoU and accuracy in 27 classes", 27, "cups", "hungarian", (320, 320), 320, "torch"),
    "stego-27": Protocol("STEGO, CAUSE, DepthG: mIoU and accuracy in 27 classes", 27, "cups", "hungarian", (320, 320), 320,
                         "pillow", 27),
    "report-19": Protocol("the MBPS stage-1 report: PQ with pooled SQ and RQ at 512 x 1024", 19, "report", "hungarian"),
    "kitti-7": Protocol("CUPS: PQ on KITTI in 7 groups, cut to 368 x 1240", 7, "cups", "hungarian_split", (368, 1240)),
    "waymo-16": Protocol("CUPS: PQ on Waymo", 16, "cups", "hungarian_split", (1280, 1920)),
    "mots-2": Protocol("CUPS: PQ on MOTSChallenge", 2, "cups", "hungarian_split"),
    "bdd": Protocol("CUPS: PQ on BDD100K", 19, "cups", "hungarian_split", (720, 1280)),
}  # fmt: skip
