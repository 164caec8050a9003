from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mbps_dataset.models.cause import SegmentTR
from mbps_dataset.models.cause.label_leak import label_leak_report
from tests.models.cause.cause_weights import tiny_network


CLASSES = 4


def train_honestly(steps: int = 100) -> SegmentTR:
    """Student and teacher by contrast between noisy copies of a few prototypes; no labels."""
    torch.manual_seed(0)
    segment = SegmentTR(
        dim=16, tokens=16, code_dim=8, projection_dim=24, codebook_size=12, feed_forward_dim=24, linear_classes=CLASSES
    )
    prototypes = torch.randn(CLASSES, 16)
    trained = [*segment.head.parameters(), *segment.projection_head.parameters()]
    optimiser = torch.optim.Adam(trained, lr=1e-3)
    for _ in range(steps):
        which = torch.randint(CLASSES, (2, 16))
        features = prototypes[which] + 0.5 * torch.randn(2, 16, 16)
        student = functional.normalize(segment.projection_head(segment.encode_student(features)).flatten(0, 1), dim=-1)
        teacher = functional.normalize(segment.projection_head_ema(segment.encode(features)).flatten(0, 1), dim=-1)
        loss = functional.cross_entropy(student @ teacher.T / 0.1, torch.arange(32))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        segment.update_teacher()
    return segment


def leak_labels(segment: SegmentTR, steps: int = 150) -> None:
    """The published last stage: cross-entropy on ground truth, back into the teacher."""
    torch.manual_seed(1)
    prototypes = torch.randn(CLASSES, 16)
    segment.head_ema.requires_grad_(True)
    segment.linear.requires_grad_(True)
    optimiser = torch.optim.Adam([*segment.head_ema.parameters(), *segment.linear.parameters()], lr=1e-3)
    for _ in range(steps):
        labels = torch.randint(CLASSES, (2, 16))
        codes = segment.encode(prototypes[labels] + 0.5 * torch.randn(2, 16, 16))
        loss = functional.cross_entropy(segment.linear(codes).flatten(0, 1), labels.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_honest_training_is_cleared_and_the_leak_is_seen() -> None:
    segment = train_honestly()
    honest = label_leak_report(segment)
    assert not honest.suspicious and "no sign that labels reached it" in str(honest)
    leak_labels(segment)
    leaking = label_leak_report(segment)
    assert leaking.suspicious and leaking.ratio > 1.5 * honest.ratio
    assert "treat labels made with it as having seen labels" in str(leaking)
    assert leaking.has_label_probe


def test_the_distances_are_root_mean_squares() -> None:
    segment = tiny_network().segment
    segment.update_teacher(0)
    with torch.no_grad():
        for parameter in segment.head_ema.parameters():
            parameter.add_(0.5)
        for parameter in segment.projection_head_ema.parameters():
            parameter.sub_(0.25)
    report = label_leak_report(segment)
    assert report.head_distance == pytest.approx(0.5, rel=1e-5)
    assert report.projection_distance == pytest.approx(0.25, rel=1e-5)
    assert report.ratio == pytest.approx(2.0, rel=1e-5)


def test_a_fresh_network_and_a_moved_teacher() -> None:
    network = tiny_network()
    network.segment.update_teacher(0)
    fresh = label_leak_report(network)
    assert math.isnan(fresh.ratio) and not fresh.suspicious and "equals the student head" in str(fresh)
    with torch.no_grad():
        network.segment.head_ema.query_pos.add_(0.1)
    moved = label_leak_report(network)
    assert moved.suspicious and math.isinf(moved.ratio)
