"""DenseCRF against pydensecrf's numbers, its invariances, and its error sentences."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.stages import crf
from mbps_dataset.stages.crf import PRESETS, dense_crf
from tests.examples import examples
from tests.vectors import load_vectors


CHECKOUT = Path(__file__).parents[2]
GAUSSIAN_ONLY = {"bilateral_compat": 0.0}
BILATERAL_ONLY = {"gaussian_compat": 0.0}
ROUNDING = 1e-5  # of float32 sums in another order: threads, vector width, and how an array lies in memory


@pytest.fixture(scope="module")
def tiny() -> dict[str, np.ndarray]:
    return load_vectors("crf/tiny_37x53_k5")


@pytest.fixture(scope="module")
def small(tiny) -> tuple[np.ndarray, np.ndarray]:
    return tiny["img"][:20, :30], tiny["p"][:, :20, :30]


@pytest.mark.parametrize(
    "name, options",
    [
        ("Q0", {"iterations": 0}),
        ("Q1", {"iterations": 1}),
        ("Q2", {"iterations": 2}),
        ("Q5", {"iterations": 5}),
        ("Q10", {}),
        ("Q1_gauss_only", {"iterations": 1, **GAUSSIAN_ONLY}),
        ("Q1_bil_only", {"iterations": 1, **BILATERAL_ONLY}),
        ("Q10_gauss_only", GAUSSIAN_ONLY),
        ("Q10_bil_only", BILATERAL_ONLY),
        ("Q10_alt", PRESETS["maskcut"].kernels.arguments()),
    ],
)
def test_equals_pydensecrf_step_by_step_by_vectors(tiny, name, options):
    q = dense_crf(tiny["img"], tiny["p"], **{"channel_order": "rgb", **options})
    np.testing.assert_allclose(q, tiny[name], atol=5e-5 if name == "Q10_alt" else 1e-5)
    assert (q.argmax(0) == tiny[name].argmax(0)).all()


def test_equals_pydensecrf_where_most_probabilities_are_clipped_by_vectors(tiny):
    q = dense_crf(tiny["img"], tiny["p_sharp"], channel_order="rgb")
    np.testing.assert_allclose(q, tiny["Q10_sharp"], atol=1e-5)


@pytest.mark.parametrize("order, labels", [("rgb", "labels10"), ("bgr", "labels10_bgr")])
def test_equals_pydensecrf_on_27_classes_by_vectors(order, labels):
    vectors = load_vectors("crf/a_synth_160x320_lite")
    if labels not in vectors:
        vectors[labels] = load_vectors("crf/a_synth_160x320")[labels]
    logits = torch.from_numpy(vectors["logits_lo"]).double()[None] * float(vectors["scale"])
    logits = torch.nn.functional.interpolate(logits, size=(160, 320), mode="bilinear")
    p = torch.softmax(logits, dim=1)[0].float().numpy()
    np.testing.assert_allclose(p[:, ::37, ::41], vectors["p_probe"], atol=1e-6)
    q = dense_crf(vectors["img"], p, channel_order=order)
    low_margin = np.unpackbits(vectors["low_margin"], count=160 * 320).reshape(160, 320).astype(bool)
    differs = q.argmax(0) != vectors[labels]
    assert not (differs & ~low_margin).any()
    assert differs.sum() <= 2
    if order == "rgb":
        np.testing.assert_allclose(q[:, ::7, ::7], vectors["Q10_probe"], atol=5e-5)


@pytest.mark.parametrize(
    "name, options",
    [
        ("q_iter0", {"iterations": 0}),
        ("q_iter1", {"iterations": 1}),
        ("q_iter10", {}),
        ("q_gauss_only_iter1", {"iterations": 1, **GAUSSIAN_ONLY}),
        ("q_bilateral_only_iter1", {"iterations": 1, **BILATERAL_ONLY}),
    ],
)
def test_equals_the_reference_pipeline_with_its_bgr_images_by_vectors(name, options):
    vectors = load_vectors("dense_crf")
    q = dense_crf(vectors["image_rgb"], vectors["probs"], **options)
    step = q.shape[1] // vectors[name].shape[1]  # the copy in tests/data holds every second pixel
    np.testing.assert_allclose(q[:, ::step, ::step], vectors[name], atol=1e-5)
    if name == "q_iter10":
        assert (q.argmax(0) == vectors["argmax_iter10"]).all()


def test_tensors_give_tensors_and_batches_give_batches(small):
    image, p = small
    alone = dense_crf(image, p)
    assert isinstance(alone, np.ndarray) and alone.dtype == np.float32 and alone.shape == p.shape
    tensor = dense_crf(torch.from_numpy(image.copy()), torch.from_numpy(p.copy()))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy(), alone, atol=ROUNDING)
    images, ps = np.stack([image, image[::-1]]), np.stack([p, p[:, ::-1]])
    batch = dense_crf(images, ps)
    np.testing.assert_allclose(batch[0], alone, atol=ROUNDING)
    np.testing.assert_allclose(batch[1], dense_crf(image[::-1], p[:, ::-1]), atol=ROUNDING)


def test_inputs_are_left_alone_even_when_read_only(small):
    image, p = (array.copy() for array in small)
    kept = p.copy()
    image.flags.writeable = p.flags.writeable = False
    dense_crf(image, p)
    np.testing.assert_array_equal(p, kept)


def test_channel_order_is_the_order_fed_to_the_lattice(small):
    image, p = small
    plain, turned = dense_crf(image, p), dense_crf(image[..., ::-1], p, channel_order="rgb")
    np.testing.assert_allclose(plain, turned, atol=ROUNDING)
    assert np.abs(plain - dense_crf(image, p, channel_order="rgb")).max() > 100 * ROUNDING


def procedural(kind: str, height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "constant":
        return np.full((height, width, 3), 93, np.uint8)
    if kind == "noise":
        return random.integers(0, 256, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 200 / width, y * 150 / height, (x + y) % 120], axis=-1) + 20
    for _ in range(12):  # boxes with some grain: flat regions with edges, as in photographs
        top, left = random.integers(0, height), random.integers(0, width)
        image[top : top + height // 3 + 1, left : left + width // 4 + 1] = random.integers(0, 256, 3)
    return (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


def smooth_probs(n_classes: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    logits = torch.randn(1, n_classes, height // 7 + 2, width // 7 + 2, generator=torch.Generator().manual_seed(seed))
    logits = torch.nn.functional.interpolate(logits, size=(height, width), mode="bilinear")
    return torch.softmax(3 * logits, dim=1)[0].numpy()


def test_result_does_not_depend_on_the_number_of_threads():
    image, p = procedural("boxes", 110, 130), smooth_probs(27, 110, 130)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(dense_crf(image, p, iterations=2))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*results, atol=ROUNDING)


MASKCUT = PRESETS["maskcut"].kernels.arguments()
PARITY = [
    ("boxes", 60, 90, 27, {}),
    ("boxes", 60, 90, 27, {"channel_order": "rgb"}),
    ("boxes", 61, 87, 19, {}),
    ("boxes", 37, 53, 5, {}),
    ("boxes", 120, 40, 3, {}),
    ("boxes", 101, 103, 2, {}),
    ("boxes", 64, 64, 80, {}),
    ("boxes", 30, 40, 300, {}),
    ("boxes", 80, 80, 2, MASKCUT),
    ("boxes", 150, 150, 2, {"bilateral_sxy": 10.0, "bilateral_srgb": 13.0}),
    ("boxes", 50, 70, 7, {"iterations": 1}),
    ("boxes", 50, 70, 7, {"iterations": 25}),
    ("boxes", 50, 70, 7, {"gaussian_sxy": 0.4}),
    ("boxes", 50, 70, 7, {"gaussian_sxy": 11.0}),
    ("constant", 48, 64, 27, {}),
    ("constant", 33, 65, 2, MASKCUT),
    ("noise", 48, 64, 27, {}),
    ("noise", 45, 61, 4, MASKCUT),
    ("boxes", 1, 77, 3, {}),
    ("noise", 77, 1, 3, {}),
]


@pytest.mark.parametrize("kind, height, width, n_classes, options", PARITY)
def test_parity_with_pydensecrf(kind, height, width, n_classes, options):
    pytest.importorskip("pydensecrf", reason="pydensecrf is not installed (pip install 'mbps-dataset[crf-parity]')")
    image, p = procedural(kind, height, width), smooth_probs(n_classes, height, width)
    ours = dense_crf(image, p, **options)
    theirs = dense_crf(image, p, backend="pydensecrf", **options)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    runner_up, best = np.sort(theirs, axis=0)[-2:]
    assert not ((ours.argmax(0) != theirs.argmax(0)) & (best - runner_up > 1e-3)).any()


def test_pydensecrf_takes_tensors_and_batches_too(small):
    pytest.importorskip("pydensecrf", reason="pydensecrf is not installed (pip install 'mbps-dataset[crf-parity]')")
    image, p = (torch.from_numpy(array.copy()) for array in small)
    batch = dense_crf(torch.stack([image, image]), torch.stack([p, p]), backend="pydensecrf")
    torch.testing.assert_close(batch[1], dense_crf(image, p), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_run_as_they_are(small, name):
    image, p = small
    q = dense_crf(image, p, **PRESETS[name].kernels.arguments())
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    "image", [np.zeros((1, 1, 3), np.uint8), np.full((1, 9, 3), 7, np.uint8), np.zeros((9, 1, 3), np.uint8)]
)
def test_smallest_images(image):
    p = np.full((2, *image.shape[:2]), 0.5, np.float32)
    np.testing.assert_allclose(dense_crf(image, p), 0.5, atol=1e-6)


@examples(10)
@given(height=st.integers(1, 30), width=st.integers(1, 30), n_classes=st.integers(2, 9), seed=st.integers(0, 99))
def test_marginals_are_probabilities_and_classes_have_no_order(height, width, n_classes, seed):
    image, p = procedural("boxes", height, width, seed), smooth_probs(n_classes, height, width, seed)
    order = np.random.default_rng(seed).permutation(n_classes)
    q = dense_crf(image, p)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-5)
    assert q.min() >= 0
    np.testing.assert_allclose(dense_crf(image, np.ascontiguousarray(p[order])), q[order], atol=1e-4)


def test_works_where_datasets_and_transformers_are_not_installed():
    program = (
        "import sys; sys.modules['datasets'] = sys.modules['transformers'] = None; import numpy as np\n"
        "from mbps_dataset.stages.crf import dense_crf\n"
        "print(dense_crf(np.zeros((4, 6, 3), np.uint8), np.full((2, 4, 6), 0.5, np.float32)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 4, 6)", done.stderr


def test_module_example_runs():
    outcome = doctest.testmod(crf)
    assert outcome.attempted and not outcome.failed


IMAGE = np.zeros((4, 6, 3), np.uint8)
PROBS = np.full((2, 4, 6), 0.5, np.float32)


def changed(value: float) -> np.ndarray:
    probs = PROBS.copy()
    probs[0, 1, 2] = value
    return probs


@pytest.mark.parametrize(
    "image, probs, sentence",
    [
        (IMAGE, changed(np.nan), "found NaN; pass softmax"),
        (IMAGE, changed(-0.5), "found the negative value -0.5"),
        (IMAGE, changed(0.8), "one sum is off by 0.3"),
        (IMAGE, changed(np.inf), "off by inf"),
        (IMAGE / np.float32(255), PROBS, "uint8 in 0..255, but got torch.float32"),
        (IMAGE, PROBS.astype(int), "float probabilities, but got torch.int64"),
        (IMAGE[:3], PROBS, r"share \(H, W\), but got \(3, 6, 3\) and \(2, 4, 6\); resize"),
        (IMAGE[None], np.stack([PROBS, PROBS]), "resize one of them"),
        (IMAGE, np.ones((1, 4, 6), np.float32), "at least 2 classes, but got K = 1"),
        (IMAGE[:0], PROBS[:, :0], "at least one pixel"),
        (IMAGE[None][:0], PROBS[None][:0], "at least one pixel and one image"),
        (IMAGE.transpose(2, 0, 1), PROBS, r"Expected `image` \[H, W, 3\]"),
        (IMAGE[..., 0], PROBS, r"Expected `image` \[H, W, 3\]"),
        (IMAGE, PROBS[None], r"Expected `image` \[H, W, 3\]"),
    ],
)
def test_unusable_arrays_are_explained(image, probs, sentence):
    with pytest.raises(InputError, match=sentence):
        dense_crf(image, probs)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"gaussian_sxy": 0.0}, "`gaussian_sxy` to be a positive finite number, but got 0.0"),
        ({"bilateral_srgb": float("nan")}, "`bilateral_srgb` to be a positive"),
        ({"bilateral_compat": -1.0}, "`bilateral_compat` to be zero"),
        ({"iterations": -1}, "`iterations` to be 0, 1, 2"),
        ({"iterations": 2.5}, "`iterations` to be 0, 1, 2"),
        ({"channel_order": "gbr"}, "`channel_order`"),
        ({"backend": "cuda"}, "`backend`"),
    ],
)
def test_unusable_settings_are_explained(options, sentence):
    with pytest.raises(RecipeError, match=sentence):
        dense_crf(IMAGE, PROBS, **options)


def test_a_missing_pydensecrf_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setattr(crf, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'mbps-dataset\[crf-parity\]'"):
        dense_crf(IMAGE, PROBS, backend="pydensecrf")
