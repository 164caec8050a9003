"""MUSES (Brödermann et al., ECCV 2024): streets in clear weather, fog, rain and snow, by day and night; classes of Cityscapes.

``frame_camera/{train,val,test}/{weather}/{time}/{name}_frame_camera.png``, and of the panoptic labels ``gt_panoptic/{train,val}.json``
(COCO's form) with ``gt_panoptic/{split}/{weather}/{time}/{name}_gt_panoptic.png``. The id of an image is its path below its split.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mbps_dataset.errors import InputError
from mbps_dataset.sources.coco_segments import Annotation, PanopticFile, read_panoptic_file
from mbps_dataset.sources.frame import Truth
from mbps_dataset.sources.labelled import SPLITS, LabelledFrame, LabelledSource, images_below


_IMAGE, _LABEL = "_frame_camera", "_gt_panoptic"


class MusesSource(LabelledSource):
    """Images of MUSES' frame camera at `data_dir`."""

    name = "muses"
    layout = "frame_camera and gt_panoptic (MUSES)"

    def find(self) -> Iterable[tuple[str, LabelledFrame]]:
        self._listed: dict[Path, tuple[PanopticFile, Annotation]] = {}
        for folder in ("train", "val", "test"):
            document = self.root / "gt_panoptic" / f"{folder}.json"
            if document.is_file():
                self._list(document, self.root / "gt_panoptic" / folder)
            for name, path in images_below(self.root / "frame_camera" / folder, [f"{_IMAGE}.png"]):
                stem = name.removesuffix(_IMAGE)
                label_path = self.root / "gt_panoptic" / folder / f"{stem}{_LABEL}.png"
                yield SPLITS[folder], self.frame(stem, path, label_path if document.is_file() else None)

    def _list(self, document: Path, folder: Path) -> None:
        """Annotations by PNG: ``file_name`` may begin with the split, or with the weather."""
        read = read_panoptic_file(document)
        for annotation in read.annotations:
            name = PurePosixPath(annotation.png)
            below = name.relative_to(folder.name) if name.parts[0] == folder.name else name
            self._listed[folder / below] = read, annotation

    def read(self, frame: LabelledFrame) -> Truth:
        path = frame.label_path
        assert path is not None
        if path not in self._listed:
            raise InputError(f"{path}: is not annotated in the .json of its split; copy gt_panoptic again.")
        document, annotation = self._listed[path]
        return document.truth(annotation, path)
