"""The `evaluate` module as this Space and ``evaluate.load("eval/hungarian_pq")`` find it; it ships with `mbps_dataset`."""

# `evaluate` reads the next two lines to say what has to be installed.
import datasets  # noqa: F401
import evaluate  # noqa: F401

from mbps_dataset.scoring.hungarian_pq import HungarianPQ


__all__ = ["HungarianPQ"]
