"""Panoptic networks behind one seam: losses of a batch, prediction of an image."""

from mbps_dataset.models.panoptic.network import VOID, PanopticNetwork, PanopticPrediction, PanopticTarget


__all__ = ["VOID", "PanopticNetwork", "PanopticPrediction", "PanopticTarget"]
