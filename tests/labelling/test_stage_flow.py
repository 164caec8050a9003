"""Flow and disparity of a frame: what is kept, what it is known by, and what a frame that lacks something gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelling.stage import Run
from mbps_dataset.labelling.stage_flow import (
    FLOW,
    coded_text,
    decoded_text,
    flow_camera,
    flow_size,
    pack,
    stereo_depth,
    stereo_motion,
    unpack,
)
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.scenes import stereo_video_truth
from mbps_dataset.sources import StereoFolderSource
from mbps_dataset.stage_settings import FlowSettings
from mbps_dataset.stages.motion.scene_flow import StereoMotion
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import MOTION_SETTINGS, frames, write_street


pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")


def run_of(tmp_path: Path, *settings: str, source=None) -> Run:
    return Run(
        get_recipe("demo").with_settings([*MOTION_SETTINGS, *settings]), Store(tmp_path / "store"), source=source
    )


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"))


def test_packed_numbers_come_back_within_half_a_step_and_unknown_ones_as_unknown():
    values = np.random.default_rng(0).uniform(-511, 511, (2, 5, 300)).astype(np.float32)
    values[0, 0, 3], values[0, 1, 0], values[1, 4, 299], values[1, 0, 7] = np.nan, np.inf, 512.0, -600.0
    unknown = ~(np.abs(values) < 512)
    back = unpack(pack(values))
    assert np.array_equal(np.isnan(back), unknown) and unknown.sum() == 4
    assert np.abs(back - values)[~unknown].max() <= 1 / 128
    assert np.array_equal(unpack(pack(back)), back, equal_nan=True)


def test_a_reason_is_kept_as_text():
    assert decoded_text(coded_text("größer")) == "größer" and decoded_text(coded_text(None)) is None


def test_flow_and_disparity_are_near_the_truth(tmp_path):
    run, frame = run_of(tmp_path), frames()[1]
    visit = run.visit(frame)
    motion, truth = stereo_motion(visit), stereo_video_truth(frame.scene())
    assert isinstance(motion, StereoMotion)
    for found, true, seen in (
        (motion.flow_forward, truth.flow, truth.flow_seen),
        (motion.flow_backward, truth.backward_flow, truth.backward_flow_seen),
        (motion.disparity_t[None], truth.disparity[None], truth.disparity_seen),
        (motion.right_disparity_t[None], truth.right_disparity[None], truth.right_disparity_seen),
        (motion.disparity_t1[None], truth.next_disparity[None], truth.next_disparity_seen),
        (motion.right_disparity_t1[None], truth.next_right_disparity[None], truth.next_right_disparity_seen),
    ):
        assert np.median(np.linalg.norm(found - true, axis=0)[seen]) < 0.5
    depth, true_depth = stereo_depth(visit), frame.truth().depth_m
    known = (depth > 0) & (true_depth > 0) & (true_depth < 30)
    assert known.mean() > 0.2 and np.median(np.abs(depth - true_depth)[known] / true_depth[known]) < 0.1
    every = stereo_depth(visit, confirmed=False)
    assert np.array_equal(every[depth > 0], depth[depth > 0]) and (every > 0).sum() > (depth > 0).sum()


def test_every_image_and_the_camera_decide_and_only_what_has_changed_is_made_again(tmp_path):
    street = write_street(tmp_path / "street")
    before = FLOW.inputs(run_of(tmp_path), StereoFolderSource(street).frames("train")[0])
    for name in ("left/0.png", "right/0.png", "left/1.png", "right/1.png"):
        image = np.array(Image.open(street / name))
        image[0, 0] ^= 1
        Image.fromarray(image).save(street / name)
        after = FLOW.inputs(run_of(tmp_path), StereoFolderSource(street).frames("train")[0])
        assert after != before, name
        before = after
    calibration = street / "calibration.json"
    calibration.write_text(calibration.read_text().replace('"baseline": 0', '"baseline": 1'))
    assert FLOW.inputs(run_of(tmp_path), StereoFolderSource(street).frames("train")[0]) != before


def test_a_stored_result_is_taken_and_settings_decide(tmp_path, monkeypatch):
    run, frame = run_of(tmp_path), frames()[0]
    first = run.visit(frame).result(FLOW)
    again = run_of(tmp_path)
    monkeypatch.setattr("mbps_dataset.labelling.stage_flow.OpenCvFlow", lambda *_: pytest.fail("computed again"))
    assert all(np.array_equal(first[name], array) for name, array in again.visit(frame).result(FLOW).items())
    assert run.key(FLOW) == again.key(FLOW) != run_of(tmp_path, "flow.preset=fast").key(FLOW)
    assert run.key(FLOW) == run_of(tmp_path, "motion.seed=1").key(FLOW)


def test_the_end_of_a_sequence_has_a_reason_and_depth(tmp_path, street):
    last = StereoFolderSource(street).frames("train")[2]
    visit = run_of(tmp_path).visit(last)
    assert stereo_motion(visit) == "no next frame in its sequence"
    assert set(visit.result(FLOW)) == {"disparity_t", "right_disparity_t", "reason"}
    assert (stereo_depth(visit) > 0).mean() > 0.2
    alone = run_of(tmp_path, "instances.method=connected-components", "things.method=all").visit(last)
    assert alone.result(FLOW)["reason"].size == 0  # depth alone needs no next frame


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("right/0.png", "no image of the right eye"),
        ("calibration.json", "no camera file"),
        ("right/1.png", "no image of the right eye at the next frame"),
    ],
)
def test_what_is_missing_is_the_reason(tmp_path, missing, reason):
    street = write_street(tmp_path / "street")
    (street / missing).unlink()
    visit = run_of(tmp_path).visit(StereoFolderSource(street).frames("train")[0])
    assert stereo_motion(visit) == reason
    assert stereo_depth(visit).any() == (missing == "right/1.png")
    assert stereo_depth(visit).shape == (192, 384)


def test_images_that_are_no_stereo_video_are_a_reason_and_no_flow(tmp_path):
    street = write_street(tmp_path / "street")
    (street / "right/0.png").write_bytes((street / "left/0.png").read_bytes())
    Image.new("RGB", (384, 192)).save(street / "left/2.png")
    first, second, _ = StereoFolderSource(street).frames("train")
    assert "both eyes have the same image" in str(stereo_motion(run_of(tmp_path).visit(first)))
    assert not stereo_depth(run_of(tmp_path).visit(first)).any()
    black = run_of(tmp_path).visit(second)
    assert "the next frame is black" in str(stereo_motion(black)) and stereo_depth(black).any()
    unchecked = run_of(tmp_path, "flow.check=false").visit(second)
    assert isinstance(stereo_motion(unchecked), StereoMotion)


def test_images_of_two_sizes_and_damaged_ones_are_reasons(tmp_path):
    street = write_street(tmp_path / "street")
    Image.new("RGB", (300, 192)).save(street / "right/0.png")
    (street / "left/2.png").write_bytes(b"no image")
    first, second, third = StereoFolderSource(street).frames("train")
    assert stereo_motion(run_of(tmp_path).visit(first)) == "384x192, but its right eye is 300x192; give one size"
    assert "2" in str(stereo_motion(run_of(tmp_path).visit(second)))
    with pytest.raises(InputError):  # the frame itself is damaged: an image that cannot be labelled
        stereo_motion(run_of(tmp_path).visit(third))


def test_flow_is_found_at_the_size_asked_for_and_the_camera_follows(tmp_path):
    visit = run_of(tmp_path, "flow.short_side=128").visit(frames()[0])
    motion = stereo_motion(visit)
    assert isinstance(motion, StereoMotion) and motion.disparity_t.shape == (128, 256)
    camera = flow_camera(visit)
    assert camera is not None and camera.image_hw == (128, 256)
    assert camera.fx == pytest.approx(frames()[0].camera().fx * 128 / 192)
    assert flow_size(FlowSettings(method="files", short_side=128), 192, 384) == (192, 384)


def files_of(street: Path, folder: Path) -> list[str]:
    """The maps of the street's first two frames as .npy files, and the settings that read them."""
    first, second, _ = StereoFolderSource(street).frames("train")
    shape = (192, 384)
    maps = {
        ("forward", first.image_id): np.full((2, *shape), 1.0),
        ("backward", second.image_id): np.full((2, *shape), -1.0),
        ("disparity", first.image_id): np.full(shape, 20.0),
        ("disparity", second.image_id): np.full(shape, 21.0),
        ("right", first.image_id): np.full(shape, 22.0),
        ("right", second.image_id): np.full(shape, 23.0),
    }
    maps["forward", first.image_id][:, 0, 0] = np.nan
    for (name, image_id), values in maps.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        np.save(folder / name / f"{image_id}.npy", values.astype(np.float32))
    places = {"forward": "forward", "backward": "backward", "disparity": "disparity", "right_disparity": "right"}
    return ["flow.method=files", "flow.kind=npy", "flow.disparity_kind=npy"] + [
        f"flow.{name}={folder / place}" for name, place in places.items()
    ]


def test_flow_of_files_is_read_by_the_ids_of_both_frames_and_decides(tmp_path, street):
    settings, source = files_of(street, tmp_path / "maps"), StereoFolderSource(street)
    run, frame = run_of(tmp_path, *settings, source=source), source.frames("train")[0]
    motion = stereo_motion(run.visit(frame))
    assert isinstance(motion, StereoMotion)
    assert np.isnan(motion.flow_forward[:, 0, 0]).all() and (motion.flow_forward[:, 1:] == 1).all()
    assert (motion.flow_backward == -1).all()
    seen = (motion.disparity_t, motion.disparity_t1, motion.right_disparity_t, motion.right_disparity_t1)
    assert [float(values[5, 5]) for values in seen] == [20, 21, 22, 23]
    before = FLOW.inputs(run, frame)
    np.save(tmp_path / "maps/right/1.npy", np.full((192, 384), 24, np.float32))
    assert FLOW.inputs(run_of(tmp_path, *settings, source=source), frame) != before


def test_a_folder_of_flow_that_is_not_named_is_refused():
    with pytest.raises(RecipeError, match=r"flow.method is 'files' but flow.disparity is not set; give a folder with"):
        get_recipe("demo").with_settings([*MOTION_SETTINGS, "flow.method=files"])
    given = ["flow.method=files", "flow.disparity=a", "flow.right_disparity=b"]
    with pytest.raises(RecipeError, match=r"flow.forward is not set"):
        get_recipe("demo").with_settings([*MOTION_SETTINGS, *given])
    get_recipe("demo").with_settings(["depth.method=stereo", *given])  # depth alone needs no flow


def test_raft_weights_find_flow_and_are_part_of_the_key(tmp_path):
    from mbps_dataset.models.raft import RaftConfig, RaftFlow

    small = {"encoder_widths": (8, 8, 8, 8), "feature_dim": 8, "hidden_dim": 8, "context_dim": 8, "updates": 1}
    keys = []
    for seed in (0, 1):
        import torch

        torch.manual_seed(seed)
        RaftFlow(RaftConfig(**small)).save_pretrained(tmp_path / f"raft{seed}")
        run = run_of(tmp_path, "flow.method=raft", f"flow.weights={tmp_path / f'raft{seed}'}")
        keys.append(run.key(FLOW))
    assert keys[0] != keys[1]
    assert isinstance(stereo_motion(run.visit(frames()[0])), StereoMotion)
