from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.motion.matrix_nms import matrix_nms
from tests.examples import examples
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/ens_matrix_nms")


@pytest.fixture(scope="module")
def recorded(golden):
    height, width = golden["shape"].tolist()
    bits = np.unpackbits(golden["masks"])[: int(golden["n"]) * height * width]
    return Instances(bits.reshape(-1, height, width), scores=golden["scores"])


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
@pytest.mark.parametrize("threshold", ["-1", "0.6", "0.05"])
def test_scores_are_those_of_the_reference_vectors(golden, recorded, kernel, threshold):
    scores, kept = matrix_nms(recorded, kernel=kernel, min_score=float(threshold))
    expected = golden[f"{kernel}_{threshold}/keep"]
    np.testing.assert_allclose(scores, golden[f"{kernel}_{threshold}/scores"], atol=1e-5)
    for found, index in zip(kept, expected, strict=True):
        # Masks that are equal, with equal scores, may stand for each other.
        assert found == index or recorded.scores[found] == recorded.scores[index]
        np.testing.assert_array_equal(recorded.pixels_of(found), recorded.pixels_of(index))


def test_none_survives_as_in_the_reference_vectors(golden, recorded):
    scores, kept = matrix_nms(recorded, min_score=1.01)
    assert len(scores) == len(kept) == golden["none_survive/n"] == 0
    scores, kept = matrix_nms(Instances.empty((4, 5)))
    assert len(scores) == len(kept) == 0


def factors_one_by_one(masks, scores, kernel):
    """The equation of the module, term by term."""
    order = np.argsort(-scores, kind="stable")
    masks = masks[order]

    def iou(i, j):
        union = np.count_nonzero(masks[i] | masks[j])
        return np.count_nonzero(masks[i] & masks[j]) / union if i < j and union else 0.0

    decay = (lambda v: np.exp(-2 * v**2)) if kernel == "gaussian" else (lambda v: 1 - v)
    worst = [max([iou(k, i) for k in range(i)], default=0.0) for i in range(len(masks))]
    kept = []
    for j in range(len(masks)):
        over = [(decay(iou(i, j)), decay(worst[i])) for i in range(len(masks))]
        kept.append(min(0.0 if not high else (np.inf if not low else high / low) for high, low in over))
    return order, scores[order] * kept


@examples(40)
@given(
    arrays.arrays(np.bool_, (6, 4, 4)),
    arrays.arrays(np.float64, 6, elements=st.sampled_from([0.1, 0.5, 0.7, 0.9])),
    st.sampled_from(["gaussian", "linear"]),
)
def test_scores_are_those_of_the_equation(masks, scores, kernel):
    decayed, kept = matrix_nms(Instances(masks, scores=scores), kernel=kernel, min_score=-1)
    order, expected = factors_one_by_one(masks, scores, kernel)
    found = dict(zip(kept.tolist(), decayed))
    np.testing.assert_allclose([found[index] for index in order.tolist()], expected, atol=1e-9)
    assert (np.diff(decayed) <= 0).all()


def test_a_duplicate_is_worth_nothing_under_the_linear_kernel():
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[:, :2] = True
    decayed, _ = matrix_nms(Instances(masks, scores=[0.9, 0.8, 0.7]), kernel="linear", min_score=0)
    np.testing.assert_allclose(decayed, [0.9, 0, 0])


def test_an_unknown_kernel_is_named():
    with pytest.raises(ValueError, match="Unknown kernel 'cosine'; choose gaussian or linear"):
        matrix_nms(Instances.empty((4, 5)), kernel="cosine")
