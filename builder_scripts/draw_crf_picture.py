"""Draw docs/crf.png: a rendered photograph, noisy class probabilities, and what DenseCRF makes of them.

    python builder_scripts/draw_crf_picture.py docs/crf.png

The probabilities are made for the picture: the true classes, blurred and drowned in noise.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from mbps_dataset import taxonomy
from mbps_dataset.labelling.drawing import draw_classes
from mbps_dataset.report.pictures import contact_sheet
from mbps_dataset.scenes import SceneSettings, render
from mbps_dataset.stages.crf import dense_crf


def main() -> None:
    view = render(5_000_003, SceneSettings(height=256, width=512))
    classes = taxonomy.LABEL_ID_TO_TRAIN_ID[view.label_ids]
    noise = np.random.default_rng(0).normal(0, 1.4, (19, *classes.shape))
    soft = np.stack([gaussian_filter((classes == k).astype(float), 4) for k in range(19)])
    logits = 4 * soft + gaussian_filter(noise, (0, 1.2, 1.2)) * 2
    probs = (np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32)
    palette = taxonomy.class_palette(taxonomy.CLASSES_19)
    panels = {
        "photo": view.image,
        "probabilities, best class": draw_classes(probs.argmax(0), palette, 255),
        "after DenseCRF": draw_classes(dense_crf(view.image, probs).argmax(0), palette, 255),
    }
    contact_sheet([panels], [""], width=480).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
