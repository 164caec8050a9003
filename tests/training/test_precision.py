"""bfloat16 where the device gains by it."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.training import precision


@pytest.mark.parametrize(("has_units", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_processors_multiply_in_half_only_where_they_have_units_for_it(
    has_units: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_processor_has_bfloat16", lambda: has_units)
    matrix = torch.eye(4)
    with precision.half_precision(torch.device("cpu")):
        assert (matrix @ matrix).dtype == dtype
    assert (matrix @ matrix).dtype == torch.float32


def test_a_torch_that_does_not_say_counts_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    matrix = torch.eye(4)
    with precision.half_precision(torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.float32
