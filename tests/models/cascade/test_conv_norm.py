from __future__ import annotations

import torch
from torch import nn

from mbps_dataset.models.cascade.conv_norm import ConvNorm, FrozenBatchNorm2d, norm_layer


def lively(kind):
    torch.manual_seed(1)
    layer = ConvNorm(3, 5, 3, norm=norm_layer(kind, 5), relu=True, padding=1)
    for name, values in layer.norm.state_dict().items():
        if values.ndim:
            values.copy_(torch.rand(5) + (0.5 if "var" in name else -0.2))
    return layer.eval()


def test_folding_the_norm_into_the_convolution_changes_nothing():
    maps = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    for kind in ("batch", "frozen"):
        layer = lively(kind)
        with torch.no_grad():
            folded = layer(maps)
        torch.testing.assert_close(folded, layer(maps), atol=1e-5, rtol=1e-5)
        assert folded.min() == 0


def test_a_frozen_norm_has_the_names_of_a_batch_norm_and_never_changes():
    frozen, batch = lively("frozen"), lively("batch")
    assert list(frozen.state_dict()) == list(batch.state_dict())
    assert {name for name, _ in frozen.named_parameters()} == {"weight"}
    before = {name: values.clone() for name, values in frozen.norm.state_dict().items()}
    maps = torch.randn(2, 3, 9, 7)
    torch.testing.assert_close(frozen.train()(maps), batch(maps))
    assert all(torch.equal(before[name], values) for name, values in frozen.norm.state_dict().items())
    batch.train()(maps)
    assert not torch.equal(batch.norm.running_mean, before["running_mean"])


def test_kinds():
    assert isinstance(norm_layer("frozen", 4), FrozenBatchNorm2d)
    assert isinstance(norm_layer("batch", 4), nn.BatchNorm2d)
