"""Mask2Former (Cheng et al., CVPR 2022) of transformers as a panoptic network that does not learn from void, one file per part.

`backbones` what looks at the image · `segments` what is to be found · `losses` · `postprocessing` queries to segments · `network`
the whole · `config` every size and threshold.
"""

from __future__ import annotations

from mbps_dataset.models.panoptic.mask2former.config import Mask2FormerPanopticConfig
from mbps_dataset.models.panoptic.mask2former.network import Mask2FormerPanoptic


__all__ = ["Mask2FormerPanoptic", "Mask2FormerPanopticConfig"]
