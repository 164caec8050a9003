"""Triplets hold frames and intrinsics only; resizing and mirroring keep the geometry."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from mbps_dataset.training.triplets import ShuffledOrder, TripletBatch, Triplets, VideoTriplet


INTRINSICS = np.array([[50.0, 0.0, 30.0], [0.0, 40.0, 11.0], [0.0, 0.0, 1.0]])


def _triplet(height: int = 24, width: int = 64) -> VideoTriplet:
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    return VideoTriplet(*frames, INTRINSICS)


def test_nothing_but_frames_and_intrinsics_has_room() -> None:
    assert [field.name for field in fields(VideoTriplet)] == ["previous", "current", "next", "intrinsics"]
    assert [field.name for field in fields(TripletBatch)] == ["frames", "intrinsics"]


def test_resizing_moves_pixel_centres_with_the_picture() -> None:
    resized = _triplet().resized(12, 32)
    assert resized.current.shape == (12, 32, 3)
    point = np.array([0.3, -0.2, 2.0])
    u, v = ((INTRINSICS @ point) / point[2])[:2]
    small_u, small_v = ((resized.intrinsics @ point) / point[2])[:2]
    assert (small_u + 0.5, small_v + 0.5) == pytest.approx(((u + 0.5) / 2, (v + 0.5) / 2))
    assert np.array_equal(_triplet().resized(24, 64).current, _triplet().current)


def test_mirroring_moves_the_principal_point() -> None:
    batch = TripletBatch.of([_triplet(), _triplet()])
    assert batch.frames.shape == (2, 3, 3, 24, 64)
    assert 0 <= batch.frames.min() and batch.frames.max() <= 1
    mirrored = batch.mirrored(torch.tensor([False, True]))
    assert torch.equal(mirrored.frames[0], batch.frames[0])
    assert torch.equal(mirrored.frames[1], batch.frames[1].flip(-1))
    assert mirrored.intrinsics[:, 0, 2].tolist() == [30.0, 33.0]
    back = mirrored.mirrored(torch.tensor([False, True]))
    assert torch.equal(back.frames, batch.frames) and torch.equal(back.intrinsics, batch.intrinsics)


def test_shrinking_moves_pixel_centres_with_the_picture() -> None:
    batch = TripletBatch.of([_triplet(25, 64)])
    small = batch.shrunk(4)
    assert small.frames.shape == (1, 3, 3, 6, 16)
    torch.testing.assert_close(small.frames[0, 1, :, 0, 0], batch.frames[0, 1, :, :4, :4].mean((1, 2)))
    point = torch.tensor([0.3, -0.2, 2.0])
    u, v = (batch.intrinsics[0] @ point / 2)[:2].tolist()
    small_u, small_v = (small.intrinsics[0] @ point / 2)[:2].tolist()
    assert (small_u + 0.5, small_v + 0.5) == pytest.approx(((u + 0.5) / 4, (v + 0.5) / 4), rel=1e-4)
    assert batch.shrunk(1) is batch


def test_every_pass_sees_every_triplet_once_and_resumes() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = ShuffledOrder(5)
        taken = order.take(3) + order.take(3)
        assert sorted(taken[:5]) == [0, 1, 2, 3, 4]
        resumed = ShuffledOrder(5)
        resumed.load_state_dict(order.state_dict())
        assert resumed.take(4) == order.take(4)


def test_bad_input_is_named() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="three RGB frames of one size"):
        VideoTriplet(frame, frame[:4], frame, INTRINSICS)
    with pytest.raises(ValueError, match="dtype uint8"):
        VideoTriplet(frame, frame.astype(np.float32), frame, INTRINSICS)
    with pytest.raises(ValueError, match=r"intrinsics of shape \(3, 3\)"):
        VideoTriplet(frame, frame, frame, np.eye(4))
    with pytest.raises(ValueError, match="at least one triplet"):
        ShuffledOrder(0)


def test_triplets_are_a_sequence_of_what_a_subclass_makes() -> None:
    class Widths(Triplets):
        def __len__(self) -> int:
            return 3

        def triplet(self, index: int) -> VideoTriplet:
            return _triplet(width=64 + index)

    def width(triplet: VideoTriplet) -> int:
        return triplet.current.shape[1]

    triplets = Widths()
    assert (width(triplets[0]), width(triplets[-1])) == (64, 66)
    assert [width(each) for each in triplets] == [64, 65, 66] and [width(each) for each in triplets[1:]] == [65, 66]
    with pytest.raises(IndexError):
        triplets[3]
