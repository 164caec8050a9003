"""What a Cascade Mask R-CNN's prediction of one image costs, against the reference's order of operations in plain torch.

    python -m tests.benchmarks.bench_cascade                       512 x 1024
    python -m tests.benchmarks.bench_cascade --size 1024x2048      as CUPS is evaluated

Ours in the same process as the literal order: norms after their convolutions, RoIAlign sample by sample, suppression box by box,
masks pasted over the whole image. Prints processor seconds and the ratio, and the largest memory of ours; fails if boxes or classes
differ, or beyond 3 GiB. RoIAlign and suppression are also timed by themselves, on the boxes of one image, and where torchvision is
installed against its compiled operators, whose results they must have.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.cascade import (
    CascadeConfig,
    CascadeMaskRCNN,
    conv_norm,
    detections,
    network,
    proposals,
    roi_align,
)
from mbps_dataset.models.cascade.boxes import box_iou
from mbps_dataset.models.cascade.preprocessing import network_input
from mbps_dataset.models.cascade.suppression import suppress_boxes
from mbps_dataset.stages.instances.types import Instances


MOST_MEMORY = 3
"""GiB that one image may take, with the weights and all that is imported."""


def sampled_roi_align(
    features: Tensor, boxes: Tensor, images: Tensor, *, size: tuple[int, int], scale: float
) -> Tensor:
    """Four cells are looked up for every sample of every bin."""
    return torch.stack([_sampled(features[image], box, size[0], scale) for box, image in zip(boxes, images)])


def _sampled(maps: Tensor, box: Tensor, bins: int, scale: float) -> Tensor:
    found = []
    for start, end, length in zip(box[:2] * scale - 0.5, box[2:] * scale - 0.5, (maps.shape[2], maps.shape[1])):
        step = (end - start) / bins
        count = int(step.ceil().clamp(min=0))
        places = start + (torch.arange(bins * count) + 0.5) * step / max(count, 1)
        inside = (places >= -1) & (places <= length)
        places = places.clamp(0, length - 1)
        low = places.floor().long()
        found.append((low, (low + 1).clamp(max=length - 1), places - low, inside, count))
    (x0, x1, fx, in_x, nx), (y0, y1, fy, in_y, ny) = found
    if not nx or not ny:
        return maps.new_zeros(len(maps), bins, bins)
    total = torch.zeros(len(maps), len(y0), len(x0))
    for rows, wy in ((y0, 1 - fy), (y1, fy)):
        for columns, wx in ((x0, 1 - fx), (x1, fx)):
            total += maps[:, rows[:, None], columns] * (wy * in_y)[:, None] * (wx * in_x)
    return total.view(len(maps), bins, ny, bins, nx).mean(dim=(2, 4))


def one_by_one(boxes: Tensor, scores: Tensor, *, max_iou: float, groups: Tensor | None = None) -> Tensor:
    """Greedy suppression as it is defined."""
    ranking = torch.argsort(scores, descending=True, stable=True)
    alive = torch.ones(len(ranking), dtype=torch.bool)
    kept = []
    for place, index in enumerate(ranking.tolist()):
        if alive[place]:
            kept.append(index)
            near = box_iou(boxes[index : index + 1], boxes[ranking])[0] > max_iou
            alive &= ~(near if groups is None else near & (groups[ranking] == groups[index]))
    return torch.tensor(kept, dtype=torch.int64)


def pasted_over_the_image(
    probabilities: Tensor, boxes: Tensor, size: tuple[int, int], *, class_ids: Tensor, scores: Tensor
) -> Instances:
    """Every mask is sampled at every pixel."""
    masks = []
    for mask, (x0, y0, x1, y1) in zip(probabilities, boxes.tolist()):
        v = (torch.arange(size[0]) + 0.5 - y0) / (y1 - y0) * 2 - 1
        u = (torch.arange(size[1]) + 0.5 - x0) / (x1 - x0) * 2 - 1
        grid = torch.stack([u.expand(size), v[:, None].expand(size)], dim=-1)
        masks.append(functional.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0] >= 0.5)
    found = torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)
    return Instances(found.numpy(), class_ids.numpy(), scores.double().numpy())


@contextlib.contextmanager
def literal_order() -> Iterator[None]:
    """Put the reference's operations in the place of ours."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (conv_norm.ConvNorm, "_is_fixed", lambda _: False),
            (roi_align, "roi_align", sampled_roi_align),
            (proposals, "suppress_boxes", one_by_one),
            (detections, "suppress_boxes", one_by_one),
            (network, "paste_masks", pasted_over_the_image),
            (network, "network_input", lambda images: network_input(images).contiguous()),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def seconds_of(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Shortest processor time, and the result."""
    times, result = [], None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def lively_network() -> CascadeMaskRCNN:
    """Random weights of the published sizes that find something."""
    torch.manual_seed(0)
    made = CascadeMaskRCNN(CascadeConfig(box_score=0.2)).eval()
    with torch.no_grad():
        for predictor in made.roi_heads.box_predictor:
            predictor.cls_score.weight.mul_(20)
        made.proposal_generator.rpn_head.objectness_logits.weight.mul_(20)
    return made


def compare_operators() -> None:
    """RoIAlign of 1,000 boxes on a map of 256 channels and suppression of 5,000 boxes of five levels, as an image has them before
    the first of three stages, against torchvision where there is one."""
    maps = torch.randn(1, 256, 128, 256).contiguous(memory_format=torch.channels_last)
    corners = torch.rand(5000, 2) * torch.tensor([900.0, 400.0])
    boxes = torch.cat([corners, corners + 20 + 80 * torch.rand(5000, 2)], dim=1)
    images, scores, levels = torch.zeros(1000, dtype=torch.int64), torch.rand(5000), torch.arange(5000) % 5
    pooled = seconds_of(lambda: roi_align.roi_align(maps, boxes[:1000], images, size=(7, 7), scale=0.25), 5)
    kept = seconds_of(lambda: suppress_boxes(boxes, scores, max_iou=0.65, groups=levels), 5)
    print(f"RoIAlign {1000 * pooled[0]:.0f} ms, suppression {1000 * kept[0]:.0f} ms; ", end="")
    try:
        from torchvision.ops import batched_nms
        from torchvision.ops import roi_align as compiled
    except Exception as error:  # not installed, or built for another torch
        print(f"no torchvision to compare with ({error})")
        return
    rois, plain = torch.cat([images[:, None].float(), boxes[:1000]], dim=1), maps.contiguous()
    theirs = seconds_of(lambda: compiled(plain, rois, (7, 7), 0.25, -1, True), 5)
    theirs_kept = seconds_of(lambda: batched_nms(boxes, scores, levels, 0.65), 5)
    torch.testing.assert_close(pooled[1], theirs[1], atol=1e-4, rtol=1e-4)
    assert kept[1].tolist() == theirs_kept[1].tolist()
    ratio = (theirs[0] + theirs_kept[0]) / (pooled[0] + kept[0])
    print(f"torchvision {1000 * theirs[0]:.0f} ms and {1000 * theirs_kept[0]:.0f} ms: together {ratio:.1f} x")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x1024", help="height x width (default: 512x1024)")
    height, width = map(int, parser.parse_args().size.split("x"))
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    image = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    made = lively_network()
    seconds, (ours,) = seconds_of(lambda: made.find(image))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert peak < MOST_MEMORY, f"{peak:.2f} GiB of memory, more than {MOST_MEMORY}"
    with literal_order():
        literal_seconds, (theirs,) = seconds_of(lambda: made.find(image))
    agree = (box_iou(ours.detections.boxes, theirs.detections.boxes).amax(dim=1) > 0.98).float().mean()
    assert len(ours.detections) == len(theirs.detections) and agree > 0.85, f"boxes differ: {agree:.0%} are the same"
    assert (ours.semantic.argmax(0) == theirs.semantic.argmax(0)).float().mean() > 0.999
    print(f"{height} x {width}, {len(ours.detections)} detections: {seconds:.2f} s, literal order {literal_seconds:.2f} s, "
          f"{literal_seconds / seconds:.1f} x; most memory of the process before it {peak:.2f} GiB")  # fmt: skip
    compare_operators()


if __name__ == "__main__":
    main()
