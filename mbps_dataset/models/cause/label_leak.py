"""Did ground truth reach the head used at inference?

The published last training stage of CAUSE sends the cross-entropy of a probe on ground truth into `head_ema`, the
teacher that is used at inference (run on the published loss: 25 of its 25 tensors receive gradients), while the
student `head` stays where it was. So a teacher that has moved away from its student shows the leak; but every teacher
lags behind its student a little. The yardstick is in the same file: `projection_head_ema` lags behind
`projection_head` in the same way and receives no gradient from that probe.

    ratio = rms(head_ema − head) / rms(projection_head_ema − projection_head)

Adam moves every weight by about the learning rate per step, which makes the two root mean squares comparable. Trained
honestly, small heads gave ratios of 0.7 – 1.3 (learning rates 3e-4 – 4e-3, 100 and 466 steps); 200 – 700 steps of
the leaking loss raised them to 2.0 – 14. The line is drawn at 1.8. This is evidence, not proof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


SUSPICIOUS_RATIO = 1.8
"""Ratio above which a teacher has moved more than its lag explains."""


@dataclass(frozen=True)
class LeakReport:
    """How far the teacher head is from the student, measured against the lag of the projection head.

    `head_distance`, `projection_distance`: root mean square difference of weights between teacher and student;
    `ratio` of the two (nan if both are 0); `suspicious` whether it exceeds `SUSPICIOUS_RATIO`; `has_label_probe`
    whether a probe trained on ground truth lies in the checkpoint. ``str(report)`` is one plain sentence.
    """

    head_distance: float
    projection_distance: float
    ratio: float
    suspicious: bool
    has_label_probe: bool

    def __str__(self) -> str:
        if self.head_distance == 0:
            return "The head used at inference (head_ema) equals the student head, so no labels have moved it apart."
        if self.suspicious:
            return (
                f"The head used at inference (head_ema) is {self.ratio:.1f} times as far from the student head as the "
                "lag of its moving average explains, so it was trained further after the label-free stages; the "
                "published code does that with ground truth, so treat labels made with it as having seen labels."
            )
        return (
            f"The head used at inference (head_ema) is as close to the student head as a moving average is "
            f"({self.ratio:.1f} times the lag of the projection head): no sign that labels reached it."
        )


def label_leak_report(network: Any) -> LeakReport:
    """Compare teacher and student of a `CauseSegmenter` or `SegmentTR`; see the module's text for what it means."""
    segment = getattr(network, "segment", network)
    head = _rms_difference(segment.head_ema, segment.head)
    projection = _rms_difference(segment.projection_head_ema, segment.projection_head)
    ratio = head / projection if projection else (math.inf if head else math.nan)
    return LeakReport(
        head_distance=head,
        projection_distance=projection,
        ratio=ratio,
        suspicious=ratio > SUSPICIOUS_RATIO,
        has_label_probe=segment.linear is not None,
    )


@torch.no_grad()
def _rms_difference(teacher: nn.Module, student: nn.Module) -> float:
    """Root mean square over all weights of teacher − student, added in float64."""
    student_state = student.state_dict()
    squares, count = 0.0, 0
    for name, weight in teacher.state_dict().items():
        squares += float((weight.double() - student_state[name].double()).square().sum())
        count += weight.numel()
    return math.sqrt(squares / count)
