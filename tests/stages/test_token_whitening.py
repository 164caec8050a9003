"""Whitening in closed form: the codes are the equation's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.token_whitening import fit_token_whitening


def tokens(count: int = 4000, seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    mix = generator.normal(size=(5, 5)) * [5, 3, 1, 0.3, 0.1]
    return torch.from_numpy(generator.normal(size=(count, 5)) @ mix.T + [7, -2, 0, 1, 30]).float()


def test_codes_are_centred_uncorrelated_and_shrunk_as_the_equation_says():
    rows = tokens().double()
    found = fit_token_whitening(rows.float().split(1000), 3, shrinkage=0.5)
    codes = found(rows)
    assert codes.mean(dim=0).abs().max() < 1e-5
    covariance = codes.T @ codes / len(codes)
    variance = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0)).flip(0)
    expected = variance[:3] / (variance[:3] + 0.5 * variance.mean())
    torch.testing.assert_close(covariance, torch.diag(expected), atol=1e-4, rtol=1e-4)
    assert found.explained == pytest.approx(float(variance[:3].sum() / variance.sum()), abs=1e-6)


def test_without_shrinkage_every_direction_varies_alike():
    codes = fit_token_whitening([tokens()], 5, shrinkage=0)(tokens())
    torch.testing.assert_close(codes.T @ codes / len(codes), torch.eye(5).double(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("count", "code_dim"), [(2, 3), (100, 6)])
def test_too_few_tokens_or_channels_are_refused(count, code_dim):
    with pytest.raises(RecipeError, match=f"{code_dim} code channels need as many tokens .* there are {count} and 5"):
        fit_token_whitening([tokens(count)], code_dim)


def test_without_directions_tokens_are_only_centred():
    found = fit_token_whitening(tokens().split(700), 0)
    assert found.projection is None and found.explained == 1
    torch.testing.assert_close(found(tokens()), tokens().double() - tokens().double().mean(dim=0), atol=1e-5, rtol=0)
