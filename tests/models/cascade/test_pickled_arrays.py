from __future__ import annotations

import collections
import os
import pickle

import numpy as np
import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cascade.pickled_arrays import read_pickled_arrays


ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "count": np.array(3, dtype=np.int64),
    "swapped": np.arange(3, dtype=">f4"),
}


def written(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read(protocol, tmp_path):
    content = {"model": collections.OrderedDict(ARRAYS), "__author__": "CutLER", "matching_heuristics": True}
    for number, held in enumerate((content, ARRAYS)):
        found = read_pickled_arrays(written(tmp_path / f"{number}.pkl", held, protocol))
        assert set(found) == set(ARRAYS)
        for name, values in ARRAYS.items():
            assert torch.equal(found[name], torch.from_numpy(values.astype(values.dtype.newbyteorder("="))))


class Mischief:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refused(path, message):
    with pytest.raises(WeightsError, match=message):
        read_pickled_arrays(path)


def test_a_pickle_that_runs_code_is_refused_and_runs_none(tmp_path):
    path = written(tmp_path / "x.pkl", {"model": {"a": Mischief(tmp_path / "made")}})
    refused(path, r"x\.pkl wants to load .*mkdir.*, and a pickle can run any code .* refused")
    assert not (tmp_path / "made").exists()


def test_arrays_of_objects_are_refused(tmp_path):
    refused(written(tmp_path / "x.pkl", {"a": np.array([{}, []], dtype=object)}), "wants to load .*an array of")


def test_what_is_no_such_file_is_told(tmp_path):
    refused(tmp_path / "x.pkl", "There is no checkpoint at .*x.pkl")
    refused(written(tmp_path / "n.pkl", {"model": {"a": 1}}), r"n.pkl holds no named arrays \(found dict\)")
    refused(written(tmp_path / "l.pkl", [1]), r"holds no named arrays \(found list\)")
    whole = written(tmp_path / "w.pkl", ARRAYS).read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.pkl").write_bytes(whole[:end])
        refused(tmp_path / "cut.pkl", r"cut.pkl is damaged or no pickle of arrays \(\w+\); download it again")
