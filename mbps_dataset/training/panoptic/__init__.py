"""Training panoptic networks on label sets: stages 2 and 3."""

from mbps_dataset.training.panoptic.samples import PanopticSample
from mbps_dataset.training.panoptic.settings import PanopticTrainingSettings
from mbps_dataset.training.panoptic.trainer import Records, train_panoptic


__all__ = ["PanopticSample", "PanopticTrainingSettings", "Records", "train_panoptic"]
