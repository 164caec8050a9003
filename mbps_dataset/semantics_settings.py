"""The settings of semantics: codes, pseudo-classes of them, the CRF that sharpens these, and their names.

As in `mbps_dataset.stage_settings`, every setting is declared once, in its field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class SemanticsSettings(Settings, prefix="semantics."):
    """Codes on a frozen backbone: CAUSE-TR (report 2.1) or DepthG (CUPS 3.2), in windows and of the whole image."""

    method: Literal["cause", "depthg"] = setting(
        "cause", "whose codes: CAUSE-TR on DINOv2, or DepthG on DINO, as CUPS", choices=("cause", "depthg")
    )
    weights: str | None = setting(
        None, "weights of the method: a folder, a Hub id, or 'builtin' for the demo network (CAUSE)", locates=True
    )
    codes: Literal["head", "tokens"] = setting(
        "head",
        "codes of the method's trained 'head', or the 'tokens' of a DINOv2 themselves, centred and whitened on the images of "
        "the set (ours)",
        choices=("head", "tokens"),
    )
    backbone: str | None = setting(
        None,
        "for codes 'tokens': a DINOv2 of transformers, a folder or Hub id (facebook/dinov2-small, …-base, …-large, also "
        "…-with-registers-…), or 'builtin' for that of the demo network",
        locates=True,
    )
    directions: int = setting(
        64, "for codes 'tokens': channels that whitening leaves; 0 only centres them", at_least=0, at_most=4096
    )
    shrinkage: float = setting(
        1.0, "for codes 'tokens': mean eigenvalues added to each before whitening divides by its root", at_least=0,
        at_most=1e6,
    )  # fmt: skip
    short_side: int = setting(322, "pixels of the shorter image side fed to the network", at_least=14, at_most=8192)
    crop: int = setting(
        322, "side of a square window in pixels; a multiple of the patch size", at_least=14, at_most=8192
    )
    stride: int = setting(161, "pixels between windows", at_least=1, at_most=8192)
    flip: bool = setting(True, "average the codes of each window and of its mirror image")
    scales: tuple[float, ...] = setting(
        (1.0,), "sizes of the image, relative to short_side, over which scores are averaged; published: 0.75, 1, 1.5",
        at_least=0.1, at_most=8,
    )  # fmt: skip
    windows: Literal["high", "low", "average", "depth"] = setting(
        "high",
        "scores of windows at 'high' resolution, of the 'low' one, their 'average', or of both weighed by 'depth' in metres, "
        "low near and high far (CUPS Table 10a)",
        choices=("high", "low", "average", "depth"),
    )
    low_scale: float = setting(
        0.5, "size of the low-resolution image, relative to short_side; of CAUSE's no side is below crop", at_least=0.1,
        at_most=1,
    )  # fmt: skip
    low_flip: bool = setting(True, "average the low-resolution codes of the image and of its mirror image")
    invalid_alpha: float = setting(
        1.0,
        "for windows 'depth': share of the low resolution where depth is not known; in CUPS' code 1, in all of the sky",
        at_least=0, at_most=1,
    )  # fmt: skip


@dataclass(frozen=True)
class ClustersSettings(Settings, prefix="clusters."):
    """From codes to pseudo-classes: the cluster probe, or k-means centroids (over-clustering)."""

    method: str = setting("probe", "what scores the codes", choices=("probe", "kmeans", "centroids"))
    count: int = setting(27, "pseudo-classes; for 'probe' it must be the size of the probe", at_least=2, at_most=4096)
    alpha: float = setting(3.0, "sharpness of log_softmax(alpha * cosine) per window", at_least=0, at_most=1000)
    temperature: float = setting(
        3.0,
        "sharpness of the softmax before the CRF; the code applies alpha twice, the report once (1.0)",
        at_least=0,
        at_most=1000,
    )
    centroids: str | None = setting(
        None, "for 'centroids': an .npz with `centroids` [k, C], or a label set whose clusters are taken", locates=True
    )
    seed: int = setting(0, "seed of k-means", at_least=0)
    restarts: int = setting(3, "k-means++ restarts; the best inertia wins", at_least=1, at_most=1000)


@dataclass(frozen=True)
class CrfSettings(Settings, prefix="crf."):
    """DenseCRF at window resolution (report 2.1 and Table 8)."""

    enabled: bool = setting(True, "refine the pseudo-class probabilities with DenseCRF")
    gaussian_sxy: float = setting(1.0, "standard deviation of the smoothness term, pixels", at_least=0.01, at_most=1e6)
    gaussian_compat: float = setting(3.0, "weight of the smoothness term", at_least=0, at_most=1e6)
    bilateral_sxy: float = setting(
        67.0, "spatial standard deviation of the appearance term, pixels", at_least=0.01, at_most=1e6
    )
    bilateral_srgb: float = setting(
        3.0, "colour standard deviation of the appearance term, 0-255", at_least=0.01, at_most=1e6
    )
    bilateral_compat: float = setting(4.0, "weight of the appearance term", at_least=0, at_most=1e6)
    iterations: int = setting(10, "mean-field iterations", at_least=0, at_most=1000)
    channel_order: Literal["bgr", "rgb"] = setting(
        "bgr", "order fed to the lattice; the reference feeds BGR", choices=("bgr", "rgb")
    )
    backend: Literal["torch", "pydensecrf"] = setting("torch", "who filters", choices=("torch", "pydensecrf"))
    truncate: bool = setting(
        False, "cut off the fractions of the image after normalising it and back, as CUPS' code; a fifth of its values are "
        "one level lower then",
    )  # fmt: skip


@dataclass(frozen=True)
class NamingSettings(Settings, prefix="naming."):
    """Names for pseudo-classes. Anything but 'none' uses ground truth, and the label set's card says so."""

    method: str = setting("none", "how clusters get names", choices=("none", "hungarian", "majority", "file"))
    file: str | None = setting(
        None, "for 'file': .npz or .json with `cluster_to_class`, train ids 0-18 or 255", locates=True
    )
