"""Mangled detections, depth, flow, photographs and names: a result, or one line that names the file; see `fuzz_worker`."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.end_to_end.fuzz_guard import Guard, fuzzed
from tests.end_to_end.fuzz_readers import SHAPE
from tests.end_to_end.mangling import NAMES, documents, either, mangled, mangled_npy, mangled_png
from tests.end_to_end.test_fuzzed_segmentations import npy, npz, png


# Detections

RUNS = {"size": list(SHAPE), "counts": [100, 200, 300]}
TEXT = {"size": list(SHAPE), "counts": "0k09T1"}
POLYGON = [[2.0, 3.0, 12.5, 3.0, 12.0, 14.0, 2.0, 15.5]]
RESULTS = [{"image_id": "p0", "category_id": 1, "score": 0.9, "bbox": [0, 0, 5, 5], "segmentation": RUNS},
           {"image_id": "p0", "category_id": 1, "score": 0.4, "segmentation": POLYGON},
           {"image_id": "p1", "category_id": 1, "score": 1, "segmentation": TEXT}]  # fmt: skip
ANNOTATIONS = {"images": [{"id": 1, "file_name": "p0.jpg"}, {"id": 2, "file_name": "x/p1.png"}],
               "annotations": [{"id": n, "image_id": n, "category_id": 1, "segmentation": form}
                               for n, form in enumerate((RUNS, TEXT), 1)]}  # fmt: skip
OF_AMG = [{"segmentation": RUNS, "area": 200, "bbox": [0, 0, 5, 5], "predicted_iou": 0.9, "stability_score": 0.95}]
SA_1B = {"image": {"image_id": 1, "width": SHAPE[1], "height": SHAPE[0], "file_name": "p0.jpg"}, "annotations": OF_AMG}
MASKS = np.zeros((2, *SHAPE), bool)
MASKS[0, 2:9, 3:8] = MASKS[1, 10:] = True
FORMS: dict[str, tuple[str, bytes, Callable[[bytes], st.SearchStrategy[bytes]]]] = {
    "results": ("d.json", json.dumps(RESULTS).encode(), lambda good: documents(RESULTS)),
    "annotations": ("d.json", json.dumps(ANNOTATIONS).encode(), lambda good: documents(ANNOTATIONS)),
    "one image": ("p0.json", json.dumps(OF_AMG).encode(), lambda good: documents(OF_AMG)),
    "amg": ("d/p0.json", json.dumps(OF_AMG).encode(), lambda good: documents(OF_AMG)),
    "SA-1B": ("d/p0.json", json.dumps(SA_1B).encode(), lambda good: documents(SA_1B)),
    "npz": ("d/p0.npz", npz(masks=MASKS, scores=np.array([0.9, 0.4]), class_ids=np.array([1, 1])), mangled),
    "png": ("d/p0.png", png(MASKS[0].astype(np.uint16) * 300), mangled_png),
    "table": ("d/p0/metadata.csv", b"id,area,predicted_iou\n0,35,0.9\n", mangled),
    "mask": ("d/p0/0.png", png(MASKS[0].astype(np.uint8) * 255), mangled_png),
}
BESIDE = {
    "table": {"d/p0/0.png": FORMS["mask"][1]},
    "mask": {"d/p0/metadata.csv": FORMS["table"][1]},
}


@given(form=st.sampled_from(sorted(FORMS)), data=st.data())
@fuzzed
def test_detections(fuzz_guard: Guard, form: str, data: st.DataObject):
    name, good, changed = FORMS[form]
    mangled_data = data.draw(either(changed, mangled, good=good))
    files = BESIDE.get(form, {}) | {name: mangled_data}
    path = name if name in ("d.json", "p0.json") else "d"
    fuzz_guard.check("detections", files, [f"/{path}"], arguments=path)


@given(segmentation=st.one_of(documents(RUNS), documents(TEXT), documents(POLYGON)), score=st.floats())
@fuzzed
def test_segmentations(fuzz_guard: Guard, segmentation: bytes, score: float):
    """The mask alone is mangled, so that its reader is always reached."""
    data = b'[{"image_id": "p0", "score": %s, "segmentation": %s}]' % (json.dumps(score).encode(), segmentation)
    fuzz_guard.check("detections", {"d.json": data}, ["d.json"], arguments="d.json")


# Depth, flow and disparity

FLOATS = np.linspace(1, 50, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
STEPS = png((FLOATS * 256).astype(np.uint16))
PFM = b"Pf\n30 20\n-1.0\n" + FLOATS.tobytes()
CAMERA = {"extrinsic": {"baseline": 0.2, "pitch": 0.0}, "intrinsic": {"fx": 2262.5, "fy": 2265.3, "u0": 1096.9}}
DEPTH = {
    "npy": {"depth/p0.npy": (npy(FLOATS), mangled_npy)},
    "png": {"depth/p0.png": (STEPS, mangled_png)},
    "kitti": {"depth/p0_depth.png": (STEPS, mangled_png)},
    "pfm": {"depth/p0.pfm": (PFM, mangled)},
    "cityscapes": {"depth/p0_disparity.png": (STEPS, mangled_png),
                   "camera/p0_camera.json": (json.dumps(CAMERA).encode(), lambda good: documents(CAMERA))},
}  # fmt: skip


@given(kind=st.sampled_from(sorted(DEPTH)), data=st.data())
@fuzzed
def test_depth(fuzz_guard: Guard, kind: str, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(DEPTH[kind])))
    good, changed = DEPTH[kind][name]
    files = {each: content for each, (content, _) in DEPTH[kind].items()} | {name: data.draw(changed(good))}
    fuzz_guard.check("depth", files, [name.split("/")[1]], arguments=kind)


FLOW = np.stack([FLOATS, -FLOATS], -1)
MOTION: dict[tuple[str, str], tuple[str, bytes, Callable[..., st.SearchStrategy[bytes]]]] = {
    ("flow", "flo"): ("p0.flo", struct.pack("<fii", 202021.25, *SHAPE[::-1]) + FLOW.tobytes(), mangled),
    ("flow", "npy"): ("p0_flow.npy", npy(FLOW), mangled_npy),
    ("flow", "pfm"): ("p0.pfm", b"PF\n30 20\n-1.0\n" + np.stack([FLOATS] * 3, -1).tobytes(), mangled),
    ("flow", "kitti"): ("p0.png", png(np.zeros((*SHAPE, 3), np.uint8)), mangled_png),
    ("disparity", "npy"): ("p0.npy", npy(FLOATS), mangled_npy),
    ("disparity", "kitti"): ("p0.png", STEPS, mangled_png),
    ("disparity", "cityscapes"): ("p0_disparity.png", STEPS, mangled_png),
    ("disparity", "pfm"): ("p0.pfm", PFM, mangled),
}


@given(kind=st.sampled_from(sorted(MOTION)), data=st.data())
@fuzzed
def test_flow_and_disparity(fuzz_guard: Guard, kind: tuple[str, str], data: st.DataObject):
    name, good, changed = MOTION[kind]
    fuzz_guard.check("motion", {f"motion/{name}": data.draw(changed(good))}, [name], arguments=kind)


# Photographs and names


def photograph(kind: str, size: tuple[int, int] = (96, 64), **options: Any) -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, kind, **options)
    return buffer.getvalue()


PHOTOGRAPHS = {
    "p0.png": photograph("PNG"), "p0.jpg": photograph("JPEG"), "p0.jpeg": photograph("JPEG", progressive=True),
    "p0.webp": photograph("WEBP"),
}  # fmt: skip


@given(name=st.sampled_from(sorted(PHOTOGRAPHS)), data=st.data())
@fuzzed
def test_photographs(fuzz_guard: Guard, name: str, data: st.DataObject):
    makers = [mangled_png] if name.endswith("png") else [mangled]
    fuzz_guard.check("photographs", {f"photos/{name}": data.draw(either(*makers, good=PHOTOGRAPHS[name]))}, [name])


@given(
    size=st.tuples(*[st.sampled_from((0, 1, 40, 4000, 5000, 16_000, 25_000, 65_535))] * 2), copies=st.integers(1, 60)
)
@fuzzed
def test_photographs_that_claim_much(fuzz_guard: Guard, size: tuple[int, int], copies: int):
    """A JPEG whose header says another size, with its scans many times."""
    data = PHOTOGRAPHS["p0.jpeg"]
    start = data.index(b"\xff\xda")
    scans = data[start:-2] * copies
    changed = data[:start].replace(struct.pack(">HH", 64, 96), struct.pack(">HH", *size)) + scans + data[-2:]
    fuzz_guard.check("photographs", {"photos/p0.jpg": changed}, ["p0.jpg"])


def names_of_files() -> st.SearchStrategy[bytes]:
    """File names of any bytes but the two that no file system takes, and folders in front of them."""
    usable = [os_name for os_name in NAMES if "/" not in os_name and "\0" not in os_name and len(os_name) < 200]
    part = st.one_of(
        st.binary(min_size=1, max_size=12), st.sampled_from([name.encode("utf-8", "surrogatepass") for name in usable])
    )
    part = part.map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    part = part.filter(lambda name: name not in (b"", b".", b".."))
    return st.lists(part, min_size=1, max_size=3).map(b"/".join)


@given(names=st.lists(names_of_files(), min_size=1, max_size=4), suffix=st.sampled_from([b".png", b".PNG", b""]))
@fuzzed
def test_names(fuzz_guard: Guard, names: list[bytes], suffix: bytes):
    files: dict[str | bytes, bytes] = {
        "photos/good.png": PHOTOGRAPHS["p0.png"],
        "truth/good.png": png(np.zeros((64, 96), np.uint8)),
    }
    taken: set[bytes] = set()
    for name in names:
        if not any(name.startswith(each) or each.startswith(name) for each in taken):
            taken.add(name)
            files[b"photos/" + name + suffix] = PHOTOGRAPHS["p0.png"]
            files[b"truth/" + name + b"_labelIds" + suffix] = png(np.zeros((64, 96), np.uint8))
    fuzz_guard.check("photographs", files, ["/in/", "photos", "truth"], arguments=True)
