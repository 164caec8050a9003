from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.dinov2 import Dinov2Backbone, backbone_configuration_of
from tests.models.cause.cause_weights import drawn_state, noise, published_shapes
from tests.models.published import tensors
from tests.vectors import load_vectors


SMALL = {"hidden_size": 36, "layers": 2, "heads": 3}


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return load_vectors("cause_vit_small")


def small_backbone(vectors: dict[str, np.ndarray], interpolation: str) -> Dinov2Backbone:
    backbone = Dinov2Backbone(**SMALL, interpolation=interpolation).eval()
    backbone.load_reference_state(tensors(vectors))
    return backbone


@torch.no_grad()
def test_reference_interpolation_gives_the_numbers_of_the_vectors(vectors: dict[str, np.ndarray]) -> None:
    backbone = small_backbone(vectors, "reference")
    np.testing.assert_allclose(backbone.position_table((23, 23)), vectors["pos_embed_23x23"], atol=2e-5)
    tokens = backbone.features(noise(30, (1, 3, 322, 322), 0.5))
    np.testing.assert_allclose(tokens, vectors["tokens_322"][:, 1:], atol=2e-5)
    native = backbone.model(noise(31, (1, 3, 518, 518), 0.5)).last_hidden_state
    np.testing.assert_allclose(native[:, :64], vectors["tokens_518_head"], atol=2e-5)


@torch.no_grad()
def test_huggingface_interpolation_differs_below_the_native_size_only(vectors: dict[str, np.ndarray]) -> None:
    ours, theirs = small_backbone(vectors, "reference"), small_backbone(vectors, "huggingface")
    table = theirs.position_table((23, 23)).numpy()
    assert np.abs(table - vectors["pos_embed_23x23"]).max() > 0.1
    pixels = noise(30, (1, 3, 322, 322), 0.5)
    assert (theirs.features(pixels) - ours.features(pixels)).abs().max() > 1e-3
    assert torch.equal(theirs.position_table((37, 37)), ours.position_table((37, 37)))


@torch.no_grad()
def test_interpolation_reads_the_table_where_the_formula_says() -> None:
    backbone = Dinov2Backbone(hidden_size=4, layers=1, heads=1, position_grid=37).eval()
    table = noise(5, (37, 37, 4))
    backbone.model.embeddings.position_embeddings[0, 1:] = table.flatten(0, 1)
    resized = backbone.position_table((23, 12))[0, 1:].unflatten(0, (23, 12))
    expected = np.einsum("ij,kl,jlc->ikc", _cubic_taps(23, 37), _cubic_taps(12, 37), table.numpy().astype(np.float64))
    np.testing.assert_allclose(resized, expected, atol=2e-5)


def test_published_names_and_shapes_at_full_size() -> None:
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in Dinov2Backbone().reference_state().items()}
    assert ours == published_shapes("backbone")


@pytest.mark.nightly
@torch.no_grad()
def test_full_size_equals_a_plain_implementation() -> None:
    state = drawn_state(published_shapes("backbone"), seed=11)
    backbone = Dinov2Backbone().eval()
    backbone.load_reference_state(state)
    pixels = noise(12, (1, 3, 322, 322), 0.5)
    expected = _plain_vit(state, pixels, heads=12)
    difference = (backbone.features(pixels) - expected).abs()
    assert expected.std() > 0.5
    assert float(difference.max()) < 2e-3 and float(difference.mean()) < 5e-5


def test_names_survive_a_round_trip(vectors: dict[str, np.ndarray]) -> None:
    backbone = small_backbone(vectors, "reference")
    stored = backbone.reference_state()
    assert stored.keys() == tensors(vectors).keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in tensors(vectors).items())


def test_half_precision_loads_as_float32(vectors: dict[str, np.ndarray]) -> None:
    backbone = Dinov2Backbone(**SMALL)
    backbone.load_reference_state({name: tensor.half() for name, tensor in tensors(vectors).items()})
    assert {tensor.dtype for tensor in backbone.reference_state().values()} == {torch.float32}


def test_sizes_are_read_from_shapes() -> None:
    with torch.device("meta"):
        state = Dinov2Backbone(hidden_size=384, layers=3, heads=6, position_grid=16).reference_state()
    assert backbone_configuration_of(state) == {
        "hidden_size": 384,
        "layers": 3,
        "heads": 6,
        "mlp_ratio": 4,
        "patch_size": 14,
        "position_grid": 16,
    }
    assert backbone_configuration_of({"other": torch.zeros(1)}) is None


def test_a_checkpoint_of_another_size_is_described(vectors: dict[str, np.ndarray]) -> None:
    backbone = Dinov2Backbone(hidden_size=36, layers=3, heads=3, position_grid=23)
    with pytest.raises(WeightsError) as caught:
        backbone.load_reference_state({**tensors(vectors), "register_tokens": torch.zeros(1)}, source="vit.pth")
    message = str(caught.value)
    assert "vit.pth" in message and "missing (14): blocks.2." in message
    assert "unexpected (1): register_tokens" in message
    assert "pos_embed is [1, 1370, 36], expected [1, 530, 36]" in message
    assert "layers=2" in message and "position_grid=37" in message


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="interpolation.*reference.*nearest"):
        Dinov2Backbone(**SMALL, interpolation="nearest")
    with pytest.raises(ValueError, match="multiple of `heads`"):
        Dinov2Backbone(hidden_size=36, heads=5)
    with pytest.raises(ValueError, match="multiples of 14"):
        Dinov2Backbone(**SMALL).features(torch.zeros(1, 3, 322, 320))


def _plain_vit(state: dict[str, torch.Tensor], pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """DINOv2 written out with the published names, the table resized by its formula."""
    w = state
    dim = w["cls_token"].shape[-1]
    norm = lambda x, name: functional.layer_norm(x, (dim,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)  # noqa: E731
    linear = lambda x, name: functional.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])  # noqa: E731
    patches = functional.conv2d(pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=14)
    grid = patches.shape[-1]
    table = w["pos_embed"][:, 1:].reshape(1, 37, 37, dim).permute(0, 3, 1, 2)
    factor = (grid + 0.1) / 37
    table = functional.interpolate(table, scale_factor=(factor, factor), mode="bicubic")
    x = torch.cat([w["cls_token"] + w["pos_embed"][:, :1], (patches + table).flatten(2).transpose(1, 2)], dim=1)
    for block in range(1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))):
        b = f"blocks.{block}"
        q, k, v = linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv").unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(q * (dim // heads) ** -0.5 @ k.transpose(-1, -2), dim=-1) @ v
        x = x + w[f"{b}.ls1.gamma"] * linear(attention.transpose(1, 2).flatten(2), f"{b}.attn.proj")
        hidden = functional.gelu(linear(norm(x, f"{b}.norm2"), f"{b}.mlp.fc1"))
        x = x + w[f"{b}.ls2.gamma"] * linear(hidden, f"{b}.mlp.fc2")
    return norm(x, "norm")[:, 1:]


def _cubic_taps(wanted: int, native: int) -> np.ndarray:
    """Weights [wanted, native] of cubic convolution (a = -0.75) at (i + 0.5) native / (wanted + 0.1) - 0.5."""
    taps = np.zeros((wanted, native))
    for i in range(wanted):
        position = (i + 0.5) * native / (wanted + 0.1) - 0.5
        for j in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            t = abs(position - j)
            near = (1.25 * t - 2.25) * t * t + 1
            far = ((-0.75 * t + 3.75) * t - 6) * t + 3
            taps[i, np.clip(j, 0, native - 1)] += near if t <= 1 else far
    return taps
