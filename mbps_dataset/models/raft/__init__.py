"""RAFT: dense correspondence of two images (Teed & Deng, ECCV 2020, arXiv 2003.12039), one file per part.

`encoder` features and context · `correlation` the pyramid and its look-up · `update` the recurrent update · `upsampling` from
cells to pixels · `network` the whole, with loading and saving · `config` every size · `convert` published files.
"""

from __future__ import annotations

from mbps_dataset.models.raft.config import RaftConfig
from mbps_dataset.models.raft.correlation import CorrelationPyramid
from mbps_dataset.models.raft.encoder import Encoder
from mbps_dataset.models.raft.network import SUPERVISION, RaftFlow
from mbps_dataset.models.raft.update import UpdateBlock
from mbps_dataset.models.raft.upsampling import convex_upsampling


__all__ = [
    "SUPERVISION",
    "CorrelationPyramid",
    "Encoder",
    "RaftConfig",
    "RaftFlow",
    "UpdateBlock",
    "convex_upsampling",
]
