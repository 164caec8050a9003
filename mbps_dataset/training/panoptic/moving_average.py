"""A teacher that follows its student slowly: the moving average of its parameters (CUPS, stage 3).

t ← d · t + (1 − d) · s after every step, d = 0.999 in CUPS' code (its paper: 0.9999). Buffers are not averaged: in stage 3
the statistics of batch norms are frozen, and so equal, in both.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn


DECAY = 0.999

Network = TypeVar("Network", bound=nn.Module)


def teacher_of(student: Network) -> Network:
    """A copy in evaluation mode whose parameters take no gradients."""
    teacher = copy.deepcopy(student)
    return teacher.eval().requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float = DECAY) -> None:
    """Move the teacher's parameters towards the student's, in place.

    Raises `ValueError` if `decay` is outside [0, 1] or the two have other parameters.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"Expected a decay in [0, 1], but got {decay}.")
    theirs = dict(student.named_parameters())
    own = dict(teacher.named_parameters())
    if other := sorted(own.keys() ^ theirs.keys()):
        raise ValueError(f"Teacher and student differ in {len(other)} parameters, among them {other[0]!r}.")
    for name, parameter in own.items():
        parameter.mul_(decay).add_(theirs[name], alpha=1 - decay)
