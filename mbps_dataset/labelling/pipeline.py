"""The road from a frame to its labels, through the store.

    codes ──► pseudo-classes ─┐
    depth ────────────────────┼──► calibration (once) ──► instances ──► fusion ──► LabelledImage
    saliency ─────────────────┘        cuts, detections ──┘

The left-hand results are expensive, per image, and kept in the store, and so are objects cut from patch features, where
a recipe asks for them; what follows is cheap and is not. A result's
key holds the settings of its own stage, the digest of its weights, the version of its code and the key of what it is
made from, so changing one setting recomputes that stage and what follows, and nothing before it.

Everything is computed with one torch thread: sums in another order give other last digits, and a label set must have
the same bytes however many workers made it. Work on several images runs in several processes (`mbps_dataset.labelling.workers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.labelling import instance_methods
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.models import networks
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import LabelledImage
from mbps_dataset.sources import Frame, Source
from mbps_dataset.sources.depth_files import DepthFiles
from mbps_dataset.sources.detections import Detections
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.stage_settings import CUT_METHODS
from mbps_dataset.stages import crf, depth, fusion, overclustering, saliency, semantics
from mbps_dataset.stages.instances import Instances
from mbps_dataset.stages.resizing import resize_nearest
from mbps_dataset.store import Store, digest_of


STAGE_VERSIONS = {"codes": 2, "pseudo_classes": 1, "depth": 1, "saliency": 1, "cuts": 1, "labels": 2}
"""Raised by one whenever a change of code changes that stage's result; part of every key."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, and give the caller its setting back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Pipeline:
    """The stages of a recipe over frames, with every expensive result kept in `store`.

    `device` is a torch device; results on a GPU may differ from the CPU's in the last digit, so the device type is
    part of the keys. `source` is needed for imported detections only, which must not name images that it does not have.
    """

    def __init__(self, recipe: Recipe, store: Store, device: str = "cpu", source: Source | None = None) -> None:
        self.recipe = recipe
        self.store = store
        self.device = device
        self.source = source

    @cached_property
    def weights(self) -> dict[str, str]:
        """Digest of the weights of every network that the recipe runs, and of detections that it imports.

        Raises `WeightsError`, or `InputError` for missing detections.
        """
        made = {}
        if self.recipe.instances.method == "detections":
            made["detections"] = instance_methods.detections_digest(self.recipe.detections)
        return made | {
            name: networks.weights_digest(name, ref) for name, ref in networks.recipe_networks(self.recipe).items()
        }

    def stages(self) -> tuple[str, ...]:
        """The stored stages this recipe runs, in order."""
        optional = {"saliency": "attention" in self.weights, "cuts": self.recipe.instances.method in CUT_METHODS}
        return ("codes", "pseudo_classes", "depth") + tuple(name for name, wanted in optional.items() if wanted)

    def key(self, stage: str, calibration: Calibration | None = None) -> str:
        """Digest of everything but the image that decides a stored stage's result."""
        recipe, version = self.recipe, STAGE_VERSIONS[stage]
        device = torch.device(self.device).type
        if stage == "codes":
            return digest_of(stage, version, device, asdict(recipe.semantics) | {"weights": self.weights["cause"]})
        if stage == "pseudo_classes":
            centroids = None if calibration is None else calibration.centroids
            made_from = None if centroids is None else centroids.tolist()
            clusters = {k: v for k, v in asdict(recipe.clusters).items() if k != "centroids"}
            return digest_of(stage, version, self.key("codes"), clusters, asdict(recipe.crf), made_from)
        if stage == "depth":
            settings = {k: v for k, v in asdict(recipe.depth).items() if k not in ("inverse", "files")}
            weights = self.weights.get("spidepth") or self.weights.get("depth_estimation")
            return digest_of(stage, version, device, settings | {"weights": weights})
        if stage == "cuts":
            settings = {k: v for k, v in asdict(recipe.cuts).items() if k != "weights"}
            weights = [digest for name, digest in self.weights.items() if name.startswith("features")]
            return digest_of(stage, version, device, recipe.instances.method, settings, weights)
        return digest_of(stage, version, device, asdict(recipe.saliency) | {"weights": self.weights["attention"]})

    @cached_property
    def depth_files(self) -> DepthFiles | None:
        """Depth that someone else made, if the recipe takes it from files. Raises `InputError`."""
        settings = self.recipe.depth
        if settings.method != "files":
            return None
        return DepthFiles(Path(str(settings.files)), settings.files_kind, scale=settings.files_scale)

    def input_digest(self, frame: Frame, stage: str = "depth") -> str:
        """Digest of all files that `stage` reads for a frame. Raises `InputError`."""
        if stage == "depth" and self.depth_files is not None:
            return digest_of(frame.digest(), DIGESTS.digest(self.depth_files.path(frame.image_id)))
        return frame.digest()

    def is_done(self, stage: str, frame: Frame, calibration: Calibration | None = None) -> bool:
        """Whether a stored result exists (it may still turn out to be damaged when read)."""
        return self.store.path(
            stage, self.key(stage, calibration), frame.image_id, self.input_digest(frame, stage)
        ).exists()

    def run(self, stage: str, frame: Frame, calibration: Calibration | None = None) -> dict[str, np.ndarray]:
        """The arrays of a stored stage, from the store or computed now. Raises `InputError` for a bad image."""
        key, digest = self.key(stage, calibration), self.input_digest(frame, stage)
        arrays = self.store.get(stage, key, frame.image_id, digest)
        if arrays is None:
            with one_thread(), torch.inference_mode():
                arrays = self._compute(stage)(frame, calibration)
            self.store.put(stage, key, frame.image_id, digest, arrays)
        return arrays

    def _compute(self, stage: str) -> Callable[[Frame, Calibration | None], dict[str, np.ndarray]]:
        return getattr(self, f"_compute_{stage}")

    def _network(self, name: str) -> torch.nn.Module:
        return networks.load(name, networks.recipe_networks(self.recipe)[name], self.device)

    def _compute_codes(self, frame: Frame, _: Calibration | None) -> dict[str, np.ndarray]:
        settings = self.recipe.semantics
        model = self._network("cause")
        image = frame.image()
        arrays = {"size": np.array(self._window_image(image).shape[:2], dtype=np.int32)}
        for number, scale in enumerate(settings.scales):
            pixels = semantics.normalise(self._window_image(image, scale)).to(self.device)
            codes = semantics.sliding_window_codes(
                model, pixels, crop=settings.crop, stride=settings.stride, flip=settings.flip
            )
            arrays |= {f"{number}.{name}": array for name, array in codes.as_arrays().items()}
        return arrays

    def _window_image(self, image: RGBImage, scale: float = 1.0) -> RGBImage:
        """The image as windows see it; at other scales no side is smaller than a window, as in the reference code."""
        settings = self.recipe.semantics
        return semantics.resize_for_windows(
            image, round(settings.short_side * scale), minimum_side=None if scale == 1 else settings.crop
        )

    def merged(self, frame: Frame, per_windows: Callable[[semantics.WindowCodes], torch.Tensor]) -> torch.Tensor:
        """Mean over the recipe's scales of `per_windows` (`merge_codes`, say) of a frame's codes: [K, h, w]."""
        arrays = self.run("codes", frame)
        height, width = (int(side) for side in arrays["size"])
        maps = []
        for number in range(len(self.recipe.semantics.scales)):
            fields = {name: arrays[f"{number}.{name}"] for name in ("codes", "positions", "size")}
            maps.append(per_windows(semantics.WindowCodes.from_arrays(fields)))
        return semantics.mean_of_scales(maps, (height, width))

    def _compute_pseudo_classes(self, frame: Frame, calibration: Calibration | None) -> dict[str, np.ndarray]:
        settings = self.recipe.clusters
        if settings.method == "probe":
            probe = self._network("cause").probe
            log_probs = self.merged(frame, lambda codes: semantics.merge_log_probs(codes, probe, alpha=settings.alpha))
        else:
            if calibration is None or calibration.centroids is None:
                raise ValueError("Over-clustering needs centroids: calibrate before labelling.")
            log_probs = overclustering.cluster_logits(self.merged(frame, semantics.merge_codes), calibration.centroids)
        probabilities = semantics.crf_probabilities(torch.as_tensor(log_probs), temperature=settings.temperature)
        if self.recipe.crf.enabled:
            options = {k: v for k, v in asdict(self.recipe.crf).items() if k != "enabled"}
            image = self._window_image(frame.image())
            probabilities = crf.dense_crf(image, np.ascontiguousarray(probabilities.cpu().numpy()), **options)
        return {"labels": semantics.label_map(np.asarray(probabilities))}

    def _compute_depth(self, frame: Frame, _: Calibration | None) -> dict[str, np.ndarray]:
        settings = self.recipe.depth
        if self.depth_files is not None:
            return {"depth": self.depth_files.read(frame.image_id)}
        image = frame.image()
        if settings.ego_crop:
            image = depth.crop_ego_car(image, settings.ego_crop)
        prepared = depth.prepare(image, height=settings.height, width=settings.width).to(self.device)
        network = self._network("spidepth" if settings.method == "spidepth" else "depth_estimation")
        return {"depth": np.asarray(depth.predict(network, prepared, flip=settings.flip))}

    def _compute_saliency(self, frame: Frame, _: Calibration | None) -> dict[str, np.ndarray]:
        settings = self.recipe.saliency
        model = self._network("attention")
        pixels = semantics.normalise(
            semantics.resize_for_windows(frame.image(), short_side=settings.short_side, patch=model.patch_size)
        )
        attention = model.attention(pixels[None].to(self.device), variant=settings.variant)[0]
        return {"attention": attention.float().cpu().numpy()}

    def _compute_cuts(self, frame: Frame, _: Calibration | None) -> dict[str, np.ndarray]:
        used = [name for name in networks.recipe_networks(self.recipe) if name.startswith("features")]
        found = instance_methods.cut(
            self.recipe.instances.method,
            self.recipe.cuts,
            frame.image(),
            [self._network(name) for name in used],
            self.device,
        )
        return found.to_arrays()

    @cached_property
    def detections(self) -> Detections:
        """Masks that someone else's detector made, by image id. Raises `InputError`, also without a `source`."""
        source = self.source
        if source is None:
            raise InputError("Detections are matched to the images of a source, but this pipeline was given none.")
        image_ids = frozenset(frame.image_id for split in source.splits() for frame in source.frames(split))
        return instance_methods.open_detections(self.recipe.detections, image_ids)

    def objects(self, frame: Frame, height: int, width: int) -> Instances | None:
        """Objects that the instance method gives classes to, masks [height, width]; None if it needs none."""
        method = self.recipe.instances.method
        if not instance_methods.needs_objects(method):
            return None
        if method == "detections":
            found = self.detections.instances(
                frame.image_id, frame.image().shape[:2], min_score=self.recipe.detections.min_score
            )
        else:
            found = Instances.from_arrays(self.run("cuts", frame))
        return found if found.shape == (height, width) else found.resized(height, width)

    def class_map(self, frame: Frame, calibration: Calibration, height: int, width: int) -> SemanticMap:
        """Class ids [height, width], named if the calibration names clusters; void where a cluster has no class."""
        labels = self.run("pseudo_classes", frame, calibration)["labels"]
        return resize_nearest(calibration.lookup(self.recipe.clusters.count)[labels], height, width)

    @one_thread()
    def depth_map(self, frame: Frame, height: int, width: int) -> np.ndarray:
        """Un-normalised depth float32 [height, width]; 0 (unknown) where the image bottom was cropped."""
        predicted = self.run("depth", frame)["depth"]
        seen = height - round(height * self.recipe.depth.ego_crop)
        full = np.zeros((height, width), dtype=np.float32)
        full[:seen] = depth.resize(predicted, seen, width)
        return full

    @one_thread()
    def label(self, frame: Frame, calibration: Calibration) -> LabelledImage:
        """All labels of one frame. Raises `InputError` for an image that cannot be read."""
        image = frame.image()
        height, width = image.shape[:2]
        working_hw = self.working_size(height, width)
        semantic = self.class_map(frame, calibration, height, width)
        panoptic = self.panoptic(
            resize_nearest(semantic, *working_hw),
            self.depth_map(frame, *working_hw),
            calibration.things,
            self.objects(frame, *working_hw),
        )
        output_hw = (height, width) if self.recipe.output.size == "image" else working_hw
        panoptic = panoptic.resized(*output_hw)
        return LabelledImage(
            image_id=frame.image_id,
            image=frame.image_bytes() if self.recipe.output.with_images else None,
            semantic=resize_nearest(semantic, *output_hw),
            depth=self.depth_map(frame, *output_hw),
            instance=panoptic.instance(),
            panoptic=panoptic.segment_map,
            segments=[
                {
                    "id": segment.id,
                    "category_id": int(segment.class_id),
                    "isthing": bool(segment.isthing),
                    "area": int(segment.area),
                    "bbox": [int(value) for value in segment.bbox],
                    "score": float(segment.score),
                }
                for segment in panoptic.segments
            ],
        )

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which instances are cut: the short side is `instances.short_side`."""
        scale = self.recipe.instances.short_side / min(height, width)
        return round(height * scale), round(width * scale)

    def depth_shape(self, depth_map: np.ndarray) -> np.ndarray:
        """What instances are cut on: depth (or inverse depth) in [0, 1] per image, gaps filled; float32 [H, W]."""
        known = depth.fill_unknown(depth_map)
        return depth.normalise(depth.invert(known) if self.recipe.depth.inverse else known)

    def panoptic(
        self,
        semantic: SemanticMap,
        depth_map: np.ndarray,
        things: tuple[int, ...],
        objects: Instances | None = None,
    ) -> fusion.Panoptic:
        """Instances and fusion of a class map and a depth map of one size (report 2.3, 2.5); `objects` as of `objects`."""
        settings, merging = self.recipe.instances, self.recipe.fusion
        shape = self.depth_shape(depth_map)
        found = instance_methods.find(settings, self.recipe.detections, semantic, shape, things, objects)
        return fusion.fuse(
            semantic,
            found,
            things,
            min_stuff_area=merging.min_stuff_area,
            min_instance_area=merging.min_instance_area,
            order=merging.order,
        )

    @one_thread()
    def salient(self, frame: Frame, height: int, width: int) -> np.ndarray:
        """Saliency mask bool [height, width]: CLS attention above its Otsu threshold (report 2.4)."""
        attention = self.run("saliency", frame)["attention"]
        return saliency.salient_mask(saliency.upsample(attention, height, width))
