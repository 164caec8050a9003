from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause import SegmentTR
from mbps_dataset.models.cause.head import quantise, segment_configuration_of
from tests.models.cause.cause_weights import drawn, drawn_state, noise, published_shapes
from tests.models.published import tensors
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return load_vectors("cause_head_small")


@pytest.fixture(scope="module")
def segment(vectors: dict[str, np.ndarray]) -> SegmentTR:
    return SegmentTR.from_reference(tensors(vectors), vectors["codebook"])


@torch.no_grad()
def test_quantisation_gives_the_indices_of_the_vectors(vectors: dict[str, np.ndarray]) -> None:
    index, rows = quantise(torch.from_numpy(vectors["feat"]), torch.from_numpy(vectors["codebook"]))
    np.testing.assert_array_equal(index, vectors["vq_index"])
    np.testing.assert_array_equal(rows, vectors["vq_feat"])


@torch.no_grad()
def test_every_step_gives_the_numbers_of_the_vectors(vectors: dict[str, np.ndarray], segment: SegmentTR) -> None:
    features, head = torch.from_numpy(vectors["feat"]), segment.head_ema
    content = quantise(features, segment.codebook)[1]
    queries = head.tr.attend_queries(content, head.query_pos)
    np.testing.assert_allclose(queries, vectors["after_norm1"], atol=2e-5)
    queries = head.tr.attend_features(queries, head.query_pos, features)
    np.testing.assert_allclose(queries, vectors["after_norm2"], atol=2e-5)
    decoded = head.tr.decode(features, content, head.query_pos)
    np.testing.assert_allclose(decoded, vectors["pre_projection"], atol=2e-5)


@torch.no_grad()
def test_codes_and_projections_are_those_of_the_vectors(vectors: dict[str, np.ndarray], segment: SegmentTR) -> None:
    features = torch.from_numpy(vectors["feat"])
    teacher, student = segment.encode(features), segment.encode_student(features)
    np.testing.assert_allclose(teacher, vectors["code_ema"], atol=2e-5)
    np.testing.assert_allclose(student, vectors["code"], atol=2e-5)
    np.testing.assert_allclose(segment.projection_head_ema(teacher), vectors["proj_ema"], atol=2e-5)
    np.testing.assert_allclose(segment.projection_head(student), vectors["proj"], atol=2e-5)
    logits = segment.linear(teacher).transpose(1, 2).unflatten(2, (7, 7))
    np.testing.assert_allclose(logits, vectors["linear_logits"], atol=2e-5)


def test_drawn_weights_are_those_of_the_golden_numbers() -> None:
    def digest(array: torch.Tensor) -> str:
        return hashlib.sha256(array.numpy().tobytes()).hexdigest()[:16]

    assert digest(drawn("head_ema.query_pos", (529, 768), 202)) == "b237f6fe52990641"
    assert digest(drawn("head_ema.tr.linear1.weight", (2048, 768), 202)) == "ac89646ae4eaf878"
    assert digest(drawn("codebook", (2048, 768), 202)) == "2df89f7de9656f24"
    assert digest(drawn("cluster_probe", (27, 90), 202)) == "8890896b9af1617a"
    assert digest(drawn("head_ema.tr.norm1.weight", (768,), 202)) == "689df1f1462435e8"
    assert digest(noise(9, (1, 529, 768))) == "8967064f17d7c0a6"


@pytest.mark.nightly
@torch.no_grad()
def test_full_size_equals_a_plain_implementation() -> None:
    state = drawn_state(published_shapes("segment"), 202)
    codebook = drawn("codebook", (2048, 768), 202)
    segment = SegmentTR.from_reference(state, codebook)
    features = noise(9, (1, 529, 768))
    expected = _plain_head({name: tensor.double().numpy() for name, tensor in state.items()}, features, codebook)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(segment.encode(features)[0], expected, atol=5e-5)
    assert {name: list(t.shape) for name, t in segment.reference_state().items()} == published_shapes("segment")


def test_sizes_are_read_from_shapes(vectors: dict[str, np.ndarray]) -> None:
    assert segment_configuration_of(tensors(vectors)) == {
        "dim": 32,
        "tokens": 49,
        "code_dim": 10,
        "projection_dim": 16,
        "feed_forward_dim": 2048,
        "linear_classes": 27,
    }
    assert segment_configuration_of({}) is None


def test_a_file_without_the_label_probe_loads(vectors: dict[str, np.ndarray]) -> None:
    state = {name: tensor for name, tensor in tensors(vectors).items() if not name.startswith("linear")}
    segment = SegmentTR.from_reference(state, vectors["codebook"])
    assert segment.linear is None and segment.reference_state().keys() == state.keys()


def test_bad_checkpoints_are_described(vectors: dict[str, np.ndarray]) -> None:
    state = tensors(vectors)
    del state["head_ema.tr.norm3.bias"]
    state["head_ema.query_pos"] = torch.zeros(64, 32)
    with pytest.raises(WeightsError) as caught:
        SegmentTR.from_reference(state, vectors["codebook"], source="segment_tr.pth")
    assert "segment_tr.pth does not fit SegmentTR" in str(caught.value)
    assert "missing (1): head_ema.tr.norm3.bias" in str(caught.value)
    assert "head_ema.query_pos is [64, 32], expected [49, 32]" in str(caught.value)
    with pytest.raises(WeightsError, match=r"codebook is \[24, 31\], expected \[24, 32\]"):
        SegmentTR.from_reference(tensors(vectors), vectors["codebook"][:, :31])
    with pytest.raises(WeightsError, match=r"missing \(\d+\): head.query_pos"):
        SegmentTR.from_reference({"other": torch.zeros(1)}, vectors["codebook"])


def test_a_window_of_another_size_is_refused(segment: SegmentTR) -> None:
    with pytest.raises(ValueError, match=r"Expected `features` to be \[B, 49, 32\].*7 x 7 tokens"):
        segment.encode(torch.zeros(1, 64, 32))


def small() -> SegmentTR:
    torch.manual_seed(0)
    return SegmentTR(
        dim=16, tokens=9, code_dim=6, projection_dim=8, codebook_size=12, feed_forward_dim=20, dropout=0.1
    )


def test_teacher_starts_as_the_student_and_takes_no_gradient() -> None:
    segment = small().eval()
    features = noise(1, (2, 9, 16))
    # Two ways through torch: without gradients a layer is one fused kernel, which rounds otherwise on some processors.
    torch.testing.assert_close(segment.encode(features), segment.encode_student(features), atol=1e-5, rtol=1e-5)
    (segment.projection_head(segment.encode_student(features)).sum() + segment.encode(features).sum()).backward()
    assert all(p.grad is not None for p in segment.head.parameters())
    assert all(p.grad is None for p in [*segment.head_ema.parameters(), *segment.projection_head_ema.parameters()])


def test_teacher_is_a_moving_average() -> None:
    segment = small()
    before = {name: tensor.clone() for name, tensor in segment.head_ema.state_dict().items()}
    with torch.no_grad():
        for parameter in segment.head.parameters():
            parameter.add_(1.0)
    segment.update_teacher(0.99)
    for name, tensor in segment.head_ema.state_dict().items():
        torch.testing.assert_close(tensor, before[name] + 0.01, atol=1e-5, rtol=0)
    segment.update_teacher(0)
    student = segment.head.state_dict()
    assert all(torch.equal(tensor, student[name]) for name, tensor in segment.head_ema.state_dict().items())


def test_dropout_acts_in_training_only() -> None:
    segment, features = small(), noise(2, (1, 9, 16))
    assert not torch.allclose(segment.train().encode_student(features), segment.encode_student(features))
    torch.testing.assert_close(segment.eval().encode_student(features), segment.encode_student(features))


def _plain_head(w: dict[str, np.ndarray], features: torch.Tensor, codebook: torch.Tensor) -> np.ndarray:
    """The teacher head written out in float64: [1, P, D] -> codes [P, C]."""
    f, rows = features[0].double().numpy(), codebook.double().numpy()
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    position = w["head_ema.query_pos"]

    def attend(name: str, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        weights = np.split(w[f"head_ema.tr.{name}.in_proj_weight"], 3)
        biases = np.split(w[f"head_ema.tr.{name}.in_proj_bias"], 3)
        q, k, v = (x @ weight.T + bias for x, weight, bias in zip((q, k, v), weights, biases))
        scores = q @ k.T / np.sqrt(q.shape[1])
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        out = (probs / probs.sum(axis=1, keepdims=True)) @ v
        return out @ w[f"head_ema.tr.{name}.out_proj.weight"].T + w[f"head_ema.tr.{name}.out_proj.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        return x * w[f"head_ema.tr.{name}.weight"] + w[f"head_ema.tr.{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        weight = w[f"head_ema.tr.{name}.weight"]
        return x @ weight.reshape(weight.shape[:2]).T + w[f"head_ema.tr.{name}.bias"]

    content = rows[(unit(f) @ unit(rows).T).argmax(axis=1)]
    x = norm(content + attend("self_attn", content + position, content + position, content), "norm1")
    x = norm(x + attend("multihead_attn", x + position, f, f), "norm2")
    x = norm(x + linear(np.maximum(linear(x, "linear1"), 0), "linear2"), "norm3")
    x = x + f
    return linear(x, "f1") + linear(np.maximum(linear(x, "f2.0"), 0), "f2.2")
