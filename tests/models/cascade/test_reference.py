"""What published files hold and what they are refused for; most tensors here have no values."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cascade import CascadeMaskRCNN
from mbps_dataset.models.cascade.reference import LICENCES, SUPERVISION
from mbps_dataset.models.checkpoints import shapes_of
from mbps_dataset.models.panoptic.record import NO_RECORD
from mbps_dataset.models.panoptic.starting import changed_panoptic
from tests.models.cascade.published_shapes import published_shapes, without_values
from tests.models.cascade.tiny_network import tiny_network


def read(state, system, **more):
    return CascadeMaskRCNN.from_reference(state, system=system, source="x.pth", **more)


@pytest.mark.parametrize(
    ("system", "stuff", "things", "tensors"),
    [("cups", 19, 8, 431), ("u2seg", 27, 800, 431), ("cutler", 0, 1, 408), ("cuvler", 0, 1, 408)],
)
def test_published_names_and_shapes_make_the_network(system, stuff, things, tensors):
    shapes = published_shapes("cutler" if system == "cuvler" else system)
    network = read(without_values(shapes), system)
    assert len(network.config.stuff_ids) == stuff and len(network.thing_ids) == things
    own = shapes_of(network)
    assert own == {name.removeprefix("model."): shape for name, shape in shapes.items()} and len(own) == tensors
    assert network.supervision == f"{SUPERVISION[system]}; licence of the weights: {LICENCES[system]}"
    assert network.config.label_free and network.ground_truth_used == ()
    assert not network.training and "no human labels" in network.supervision
    assert (network.config.short_side == 800) == (system != "cups")
    assert network.class_names[0] == ("stuff 0" if stuff else "object")


def test_thresholds_are_those_of_each_system():
    asked = {"cups": (0.5, 0.5, 0.4), "u2seg": (0.05, 0.5, 0.4), "cutler": (0.0, 0.35, 0.01)}
    for system, wanted in asked.items():
        config = read(without_values(published_shapes(system)), system).config
        assert (config.box_score, config.merge_score, config.drop_loss_iou) == wanted


def prefixed(state, prefix):
    return {prefix + name: values for name, values in state.items()}


def test_a_file_of_stage_3_holds_two_networks():
    student, teacher = tiny_network(seed=1).state_dict(), tiny_network(seed=2).state_dict()
    state = prefixed(student, "model.") | prefixed(teacher, "teacher_model.model.")
    for system, wanted in (("cups", student), ("cups-teacher", teacher)):
        network = read(state, system)
        assert all(torch.equal(values, wanted[name]) for name, values in network.state_dict().items())
        assert "SMURF" in network.supervision
    with pytest.raises(WeightsError, match=r"x.pth holds no teacher, .*; convert it as `cups`"):
        read(prefixed(student, "model."), "cups-teacher")


def test_sizes_are_read_and_what_old_files_add_is_left_out():
    state = dict(tiny_network().state_dict()) | {
        "pixel_mean": torch.zeros(3, 1, 1),
        "pixel_std": torch.ones(3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
    }
    state = {name: values.half() for name, values in state.items() if not name.endswith("num_batches_tracked")}
    network = read(state, "u2seg", class_names=("road", "sky", "car", "person"), supervision="ours")
    config = network.config
    assert (config.stage_blocks, config.pyramid_channels, config.box_channels) == ((1, 2, 1, 1), 16, 24)
    assert (config.mask_channels, config.semantic_channels, config.stem_channels) == (12, 32, 8)
    assert config.class_names[2:] == ("car", "person") and config.thing_ids == (2, 3) and config.supervision == "ours"
    assert not config.label_free and network.ground_truth_used == (NO_RECORD,)
    assert all(p.dtype == torch.float32 for p in network.parameters())
    assert network.backbone.bottom_up.stem.conv1.norm.num_batches_tracked == 0


def refused(state, system, message, **more):
    with pytest.raises(WeightsError, match=message):
        read(state, system, **more)


def test_a_file_of_another_system_is_told_what_it_is():
    cups, cutler = (without_values(published_shapes(system)) for system in ("cups", "cutler"))
    refused(cups, "cutler", "x.pth has a semantic head and tensors named model.…, .* as `cups`, not as `cutler`")
    refused(cutler, "u2seg", "x.pth is a detector: .* convert it as `cutler` or `cuvler`, not as `u2seg`")
    bare = {name.removeprefix("model."): values for name, values in cups.items()}
    assert read(bare, "cups").config.licence == LICENCES["cups"]
    refused(bare, "cuvler", "x.pth has a semantic head: convert it as `cups` or `u2seg`, not as `cuvler`")
    one_stage = {"roi_heads.box_head.fc1.weight": torch.zeros(1)}
    refused(one_stage, "cutler", "x.pth is a Mask R-CNN of one stage .* cutler_cascade_final.pth")
    refused(
        {"fc.weight": torch.zeros(1)},
        "cups",
        r"x.pth is no Cascade Mask R-CNN: .* its tensors are fc.weight, …\. Expected",
    )
    refused({}, "cups", "its tensors are none")


def test_wrong_class_counts_are_told():
    state = {name: v for name, v in tiny_network().state_dict().items() if not name.startswith("sem_seg_head")}
    refused(
        state, "cuvler", "x.pth tells 2 classes apart .* human labels and not read. Take model_cuvler_zero_shot.pth"
    )
    message = "x.pth has 2 classes of stuff and 2 of things, but 3 names are given; give 4, stuff first"
    refused(tiny_network().state_dict(), "cups", message, class_names=("a", "b", "c"))


def test_what_is_missing_or_misshapen_is_listed():
    state = dict(tiny_network().state_dict())
    del state["roi_heads.box_head.2.fc2.bias"]
    state["backbone.fpn_output3.weight"] = torch.zeros(1, 2, 3, 3)
    with pytest.raises(WeightsError) as caught:
        read(state, "cups")
    said = str(caught.value)
    assert said.startswith("x.pth does not fit CascadeMaskRCNN as cups publishes it:")
    assert "missing (1): roi_heads.box_head.2.fc2.bias" in said
    assert "backbone.fpn_output3.weight is [1, 2, 3, 3], expected [16, 16, 3, 3]" in said
    assert said.endswith("that would fit: that of the published file, cups.ckpt.")


def test_numbers_that_make_no_network_are_told():
    state = dict(tiny_network().state_dict()) | {"sem_seg_head.p2.0.weight": torch.zeros(40, 16, 3, 3)}
    refused(state, "cups", "x.pth is no network that can be built: semantic_channels must be a multiple of 32")
    state = dict(tiny_network().state_dict())
    state["roi_heads.mask_head.predictor.bias"] = torch.full((2,), torch.nan)
    refused(state, "cups", "x.pth: 2 of the 2 numbers of the tensor roi_heads.mask_head.predictor.bias are NaN")


def test_the_trained_part_of_stage_3_is_the_published_one():
    """51 tensors: those with "head" and without "norm" in their names; 126 parameters where norms are buffers."""
    network = tiny_network()
    names = [name for name, _ in network.named_parameters()]
    assert sum("norm" in name for name in names) == 2 * (len(names) - len([n for n in names if "norm" not in n])) // 2
    frozen = [name for name, _ in changed_panoptic(network, {"norm": "frozen"}).named_parameters()]
    assert sum("head" in name and "norm" not in name for name in frozen) == 51
    full = read(without_values(published_shapes("cups")), "cups")
    norms = [name for name, _ in full.named_parameters() if "norm" in name]
    assert len(norms) == 136 and len(list(full.parameters())) == 136 + 112
