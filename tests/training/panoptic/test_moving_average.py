from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from mbps_dataset.training.panoptic.moving_average import follow, teacher_of
from tests.vectors import load_vectors


def linear(weight: torch.Tensor) -> nn.Module:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight.data = weight.clone()
    return module


def test_three_updates_are_those_of_the_reference_vectors():
    golden = load_vectors("cascade/self_labels_ema")
    student, teacher = (linear(torch.from_numpy(golden[f"ema/{name}"])) for name in ("student", "teacher"))
    for _ in range(3):
        follow(teacher, student, json.loads(str(golden["meta_json"]))["ema"])
    np.testing.assert_allclose(teacher.weight.detach(), golden["ema/after3"], rtol=0, atol=1e-6)


def test_a_teacher_is_a_copy_that_neither_learns_nor_counts_batches() -> None:
    student = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    teacher = teacher_of(student)
    assert student.training and not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())
    student(torch.rand(2, 3, 4, 4))
    with torch.no_grad():
        student[0].weight.add_(1)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    follow(teacher, student, 0.75)
    after = teacher.state_dict()
    assert torch.equal(after["1.running_mean"], before["1.running_mean"]) and int(after["1.num_batches_tracked"]) == 0
    torch.testing.assert_close(after["0.weight"], before["0.weight"] + 0.25)


def test_the_ends_of_the_decay_are_standing_still_and_copying() -> None:
    student, teacher = linear(torch.ones(2, 2)), linear(torch.zeros(2, 2))
    follow(teacher, student, 1.0)
    assert not teacher.weight.any()
    follow(teacher, student, 0.0)
    assert torch.equal(teacher.weight, student.weight)
    with pytest.raises(ValueError, match="a decay in"):
        follow(teacher, student, 1.5)


def test_networks_of_other_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ in 1 parameters, among them 'bias'"):
        follow(linear(torch.ones(2, 2)), nn.Linear(2, 2))
