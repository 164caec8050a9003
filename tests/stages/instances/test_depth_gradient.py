from __future__ import annotations

import re

import numpy as np
import pytest

from mbps_dataset.stages.instances import split_by_depth
from tests.stages.instances.golden import THINGS_BY_NAME, load, unpack


THINGS = THINGS_BY_NAME["gtsplit"]
CASES = sorted(key.removesuffix("/masks_packed") for key in load("depth_instances") if key.endswith("/masks_packed"))


def settings_of(case: str) -> dict[str, float]:
    found = re.search(r"tau([\d.]+)_A(\d+)(?:_d(\d)_s(\d))?$", case)
    tau, area, dilation, sigma = found.groups()
    return {
        "grad_threshold": float(tau),
        "min_area": int(area),
        "dilation": int(dilation or 3),
        "sigma": float(sigma or 1),
    }


@pytest.mark.parametrize("case", CASES)
def test_reproduces_reference_instances(case: str) -> None:
    golden = load("depth_instances")
    scene = case.split("/")[0]
    semantic = golden[f"{scene}/sem"]
    things = THINGS_BY_NAME["attnsplit" if "attnsplit" in case else "gtsplit"]
    found = split_by_depth(semantic, golden[f"{scene}/depth"], things, **settings_of(case))
    np.testing.assert_array_equal(found.masks(), unpack(golden[f"{case}/masks_packed"], *semantic.shape))
    np.testing.assert_array_equal(found.class_ids, golden[f"{case}/class"])
    np.testing.assert_allclose(found.scores, golden[f"{case}/score"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case, sigma, tau", [("tie", 1.0, 0.3), ("tie_sigma0", 0.0, 0.1)])
def test_reproduces_reference_order_of_equal_areas(case: str, sigma: float, tau: float) -> None:
    golden = load("depth_instances")
    found = split_by_depth(
        golden["tie/sem"], golden["tie/depth"], THINGS, grad_threshold=tau, min_area=50, sigma=sigma
    )
    np.testing.assert_array_equal(found.masks(), golden[f"{case}/masks"].astype(bool))
    np.testing.assert_array_equal(found.class_ids, golden[f"{case}/class"])
    np.testing.assert_allclose(found.scores, golden[f"{case}/score"], rtol=0, atol=1e-12)


def test_no_thing_pixel_gives_no_instance() -> None:
    found = split_by_depth(np.zeros((8, 9), np.uint8), np.zeros((8, 9), np.float32), THINGS)
    assert len(found) == load("depth_instances")["empty/n"] == 0
    assert found.masks().shape == (0, 8, 9)
