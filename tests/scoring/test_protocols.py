"""`mbps eval --protocol`: the numbers of the published code, from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.metrics import PROTOCOLS
from mbps_dataset.scoring.protocols import chosen_protocol, cut_labels, matching_by
from mbps_dataset.scoring.score import score
from tests.metrics import golden


def files(scene: golden.Scene, root: Path) -> tuple[Path, Path]:
    """Predictions and truth as folders of arrays."""
    for number, image in enumerate(scene.images):
        for side, prefix in (("predictions", "pred"), ("truth", "true")):
            (root / side).mkdir(exist_ok=True)
            maps = {kind: image[f"{prefix}_{kind}"] for kind in ("semantic", "instance")}
            np.savez(
                root / side / f"{number:03d}.npz", **{kind: array for kind, array in maps.items() if array is not None}
            )
    return root / "predictions", root / "truth"


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("03_over40", "cups-19"), ("04_over54", "bdd"), ("16_group7", "kitti-7"), ("03_over40", "waymo-16")],
)
def test_cups_numbers_by_vectors(name, protocol, tmp_path):
    """Crops are as large as the maps or larger, so the numbers of CUPS' own class hold; Waymo's leave three classes out."""
    scene = golden.load(name)
    scored = score(
        *files(scene, tmp_path), protocol=protocol, matching="hungarian_split",
        pseudo_things=scene.meta["pseudo_things"], pseudo_stuff=scene.meta["pseudo_stuffs"],
    )  # fmt: skip
    expected, result = scene.expected["cups"], scored.result
    assert (result.convention, result.matching, scored.protocol) == ("cups", "hungarian_split", protocol)
    assert f"protocol {protocol}" in scored.table() and scored.to_dict()["protocol"] == protocol
    if protocol != "waymo-16":
        assert result.pq == pytest.approx(expected["pq"], abs=1e-6) and result.miou == pytest.approx(
            expected["miou"], abs=1e-6
        )
    else:
        kept = [value for k, value in enumerate(expected["pq_pc"]) if k not in (3, 4, 9) and value is not None]
        assert result.pq == pytest.approx(np.mean(kept), abs=1e-6)


def test_both_sides_are_cut_alike():
    rows = np.arange(400 * 1300).reshape(400, 1300)
    labels = Labels("a", rows, instance=rows + 1, crowd=rows + 2, depth=rows.astype(np.float32))
    cut = cut_labels(PROTOCOLS["kitti-7"], labels)
    for array, first in ((cut.semantic, 0), (cut.instance, 1), (cut.crowd, 2), (cut.depth, 0)):
        assert array.shape == (368, 1240) and array[0, 0] == rows[16, 30] + first
    assert cut_labels(PROTOCOLS["mots-2"], labels) is labels


def predictions(count: int, named: bool) -> LabelSource:
    names = tuple(map(str, range(count)))
    return LabelSource({}, "p", label_set=Description("parquet", names, (), named, 255, origin={}))


def test_named_classes_are_compared_as_they_are_and_clusters_matched():
    stego = PROTOCOLS["stego-27"]
    assert matching_by(stego, predictions(19, True), clusters=False) == "none"
    assert matching_by(stego, LabelSource({}, "p"), clusters=False) == "none"
    assert matching_by(stego, LabelSource({}, "p"), clusters=True) == "hungarian"
    assert matching_by(stego, predictions(27, False), clusters=False) == "hungarian"
    with pytest.raises(InputError, match="p: has 80 clusters, and this protocol is of 27; .* Take cups-27"):
        matching_by(stego, predictions(80, False), clusters=False)
    assert matching_by(replace(stego, most_clusters=None), predictions(80, False), clusters=False) == "hungarian"


def test_unknown_names_and_other_matchings_are_refused():
    assert chosen_protocol("cups-19", "hungarian_split") is PROTOCOLS["cups-19"]
    with pytest.raises(InputError, match="--protocol cups is not known; there is cups-19, cups-27"):
        chosen_protocol("cups", None)
    with pytest.raises(InputError, match="matches clusters by hungarian_split; leave out --matching majority"):
        chosen_protocol("cups-19", "majority")
