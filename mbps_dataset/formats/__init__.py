"""Label sets in the formats that other tools read, and back: one module per format.

`writing.export` writes, `mbps_dataset.formats.segmentation_sets.open_labels` reads. Nothing is imported here, so that reading
needs neither `datasets` nor torch.
"""

from __future__ import annotations


MISSING = ("error", "void", "skip")
"""What is done about an image that only predictions or only ground truth have; see `label_source`."""
