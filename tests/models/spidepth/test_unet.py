from __future__ import annotations

import numpy as np
import torch

from mbps_dataset.models.spidepth import UNetDecoder
from tests.models.published import tensors
from tests.vectors import load_vectors


def test_the_decoder_reproduces_the_reference_on_maps_of_odd_size_by_vectors():
    arrays = load_vectors("spidepth_unet_small")
    decoder = UNetDecoder((8, 16, 24, 40), (32, 24, 16, 12), 6).eval()
    decoder.load_state_dict(tensors(arrays))
    with torch.no_grad():
        out = decoder([torch.from_numpy(arrays[f"feat{stride}"]) for stride in (4, 8, 16, 32)])
    np.testing.assert_allclose(out.numpy(), arrays["out"], atol=2e-5)
