"""Readers of mangled files by kind: the public function or command that a person's file meets first.

Each takes the folder with ``in`` and ``out`` and the request's arguments. What it returns does not count, what it raises
does; what it checks are answers that would be wrong without a word.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbps_dataset import decode
from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import as_labels
from mbps_dataset.formats.segmentation_sets import open_labels
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.models.cause.centroids import read_centroids, read_cluster_names
from mbps_dataset.models.checkpoints import read_array, read_state_dict
from mbps_dataset.models.networks import load
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import FolderSource
from mbps_dataset.sources.depth_files import DepthFiles
from mbps_dataset.sources.detections import read_detections
from mbps_dataset.sources.flow_files import DisparityFiles, FlowFiles
from mbps_dataset.store import Store


Reader = Callable[[Path, Any], None]
SHAPE = (20, 30)
"""Height and width of the image whose masks and maps are given."""
THINGS, STUFF = range(11, 19), range(11)


def command(*arguments: str) -> None:
    """Run `mbps`; a refusal is raised as the one line it prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        status = main(["--quiet", *arguments])
    if status not in (0, 1, 3):
        raise RuntimeError(f"status {status}: {said.getvalue()}")
    if status == 1:
        raise InputError(said.getvalue().removesuffix("\n"))


def recipe(box: Path, _: Any) -> None:
    path = box / "in/recipe.json"
    found = get_recipe(str(path))
    json.dumps(found.with_absolute_paths().to_json(), allow_nan=False)
    assert Recipe.from_json(json.loads(json.dumps(found.to_json()))) == found
    command("info", "--recipe", str(path))


def label_set(box: Path, arguments: Sequence[str]) -> None:
    places = {"SET": str(box / "in/set"), "OUT": str(box / "out/new"), "TRUTH": str(box / "in/truth")}
    command(*(places.get(each, each) for each in arguments))


def rows(box: Path, _: Any) -> None:
    built = LabelSetFolder(box / "in/set")
    for split in built.splits:
        built.row_count(split)
        for row in built.rows(split):
            assert row.semantic.ndim == 2


def labels(box: Path, name: str) -> None:
    """Everything of a set of segmentations, scored against itself if it can be read."""
    found = open_labels(box / "in" / name)
    quality = PanopticQuality(things=THINGS, stuff=STUFF)
    for image_id in found:
        read = found[image_id]
        quality.update(**read.as_prediction(), **read.as_truth(), image_id=image_id)
    result = quality.compute()
    assert not 0 <= result.pq < 1 - 1e-9, result.pq  # itself is right; NaN if there is nothing


def pair(box: Path, arguments: Sequence[str]) -> None:
    """`mbps eval` of what is mangled against what is not."""
    predicted, true = (str(box / "in" / each) for each in arguments)
    command("eval", predicted, "--truth", true)


def detections(box: Path, name: str) -> None:
    found = read_detections(box / "in" / name, ["p0", "p1"])
    for image_id in found.image_ids:
        instances = found.instances(image_id, SHAPE, min_score=0.1)
        assert instances.masks().shape == (len(instances), *SHAPE)
        assert np.isfinite(instances.scores).all()


def depth(box: Path, kind: str) -> None:
    read = DepthFiles(box / "in/depth", kind, camera_root=box / "in/camera").read("p0")
    assert read.ndim == 2 and read.dtype == np.float32 and np.isfinite(read).all() and read.min() >= 0


def motion(box: Path, arguments: tuple[str, str]) -> None:
    what, kind = arguments
    if what == "flow":
        flow, known = FlowFiles(box / "in/motion", kind, ["p0"]).read("p0")
        assert flow.shape == (2, *known.shape) and np.isfinite(flow).all() and not flow[:, ~known].any()
    else:
        disparity, known = DisparityFiles(box / "in/motion", kind, ["p0"]).read("p0")
        assert disparity.shape == known.shape and np.isfinite(disparity).all() and disparity.min() >= 0


def photographs(box: Path, truth: bool) -> None:
    """Every image of a folder: a picture, or a failure of one line."""
    faults = []
    source = FolderSource(box / "in/photos", box / "in/truth" if truth else None)
    for frame in source.frames("train"):
        frame.image_id.encode()
        try:
            assert frame.image().ndim == 3 and frame.digest()
            frame.truth()
        except InputError as error:
            faults.append(str(error))
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 1000, str(error)[:2000]
    if faults:
        raise InputError(faults[0])


def weights(box: Path, network: str) -> None:
    load.__wrapped__(network, str(box / "in/weights"), "cpu")  # not the copy of an earlier example


def checkpoint(box: Path, name: str) -> None:
    path = box / "in" / name
    read_array(path) if path.suffix == ".npy" else read_state_dict(path)


def array(box: Path, value: Any) -> None:
    """A prediction in memory, as `evaluate` and notebooks give it."""
    read = as_labels(value, "p0", size_hw=SHAPE)
    truth = np.zeros(np.asarray(read.semantic).shape, np.uint8)
    quality = PanopticQuality(things=THINGS, stuff=STUFF)
    try:
        quality.update(**read.as_prediction(), true_semantic=truth, true_instance=None, image_id="p0")
    except ValueError as error:
        raise InputError(str(error)) from None
    quality.compute()


def row(_: Path, value: Any) -> None:
    decoded = decode(value)
    if decoded.semantic is not None:
        assert decoded.semantic.ndim == 2


def centroids(box: Path, name: str) -> None:
    read = read_cluster_names if name.startswith("names") else read_centroids
    read(box / "in" / name)


def table(box: Path, name: str) -> None:
    """Published rows that are checked; exit status 1 also says that there are findings."""
    try:
        command("eval", "--lint", str(box / "in" / name))
    except InputError as error:
        if str(error):
            raise


def order(box: Path, _: Any) -> None:
    """The note of what a folder is built from, with the checksum of what it says."""
    with contextlib.suppress(ValueError):
        document = json.loads((box / "in/order.json").read_text(encoding="utf-8"))
        if isinstance(document, dict):
            Store(box / "in/set/stages").put_json("build.json", document)
    command("info", str(box / "in/set"))


def build(box: Path, _: Any) -> None:
    """A build with everything that a recipe names below @IN@."""
    path = box / "out/recipe.json"
    path.write_bytes((box / "in/recipe.json").read_bytes().replace(b"@IN@", str(box / "in").encode()))
    command(
        "build", "--recipe", str(path), "--source", "folder", "--data-dir", str(box / "in/photos"), "--output",
        str(box / "out/new"), "--workers", "1",
    )  # fmt: skip


def misbehave(box: Path, how: str) -> None:
    """What the guard must see."""
    if how == "traceback":
        raise KeyError("a.json")
    if how == "nameless":
        raise InputError("it is damaged")
    if how == "memory":
        np.ones(150_000_000)
    if how == "outside":
        (box.parent / "escaped").write_bytes(b"")
    if how == "its input":
        (box / "in/a.json").write_bytes(b"")
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while how == "hang":
        pass


def store(box: Path, good: dict[str, np.ndarray]) -> None:
    """A result reads as it was written, or as missing."""
    kept = Store(box / "in/store")
    read = kept.get("depth", "k" * 64, "p0", "d" * 64)
    if read is not None:
        assert all(np.array_equal(read[name], good[name]) for name in good | read)
    assert kept.get_json("note.json") in (None, {"value": [1, 2.5, "ü"]})
    assert len(list(kept.failures())) <= 1


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        recipe, label_set, rows, labels, pair, detections, depth, motion, photographs, weights, checkpoint, array, row, centroids, table,
        order, build, store, misbehave,
    )
}  # fmt: skip
