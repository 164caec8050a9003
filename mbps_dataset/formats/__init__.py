"""Label sets in the formats that other tools read, and back: one module per format.

`writing.export` writes, `mbps_dataset.formats.segmentation_sets.open_labels` reads. Nothing is imported here, so that reading
needs neither `datasets` nor torch.
"""
