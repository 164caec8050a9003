"""A whole set of segmentations by image id, and which prediction belongs to which ground truth.

Decisions (ours):

* two COCO files are paired by ``image_id``, as panopticapi does; if they share none, and with any other form, by the
  file's path without suffix and without what Cityscapes' and detectron2's names carry (`ENDINGS`), or by its bare name
  where that is unique on both sides: whichever pairs most;
* an image on one side only is an error, and so is one that cannot be read. ``missing="void"`` counts an image without
  prediction as one in which everything was missed; ``missing="skip"`` leaves out what only one side has. Nothing makes up
  ground truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.formats import MISSING
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import VOID, Labels
from mbps_dataset.sources.membership import file_id


ENDINGS = ("_gtFine_panoptic", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_labelIds", "_labelTrainIds", "_gtFine",
           "_leftImg8bit")  # fmt: skip
"""What may follow an image's name in the name of a file that belongs to it."""

_MOST_NAMES = 5


class LabelSource(Mapping[str, Labels]):
    """Labels by image id, each read when asked for.

    `name` says in errors where they are from; `class_of` is the mapping of category ids they are read with, or None;
    `label_set` describes the label set they are an export of, or None; `image_ids` are COCO's ``image_id`` by our image id
    (empty for other forms); `is_thing` says of (pseudo-)classes whether they are things, where the form knows; `void` is
    the id of pixels without label.
    """

    def __init__(
        self,
        readers: Mapping[str, Callable[[], Labels]],
        name: str,
        class_of: Mapping[int, int] | None = None,
        label_set: Description | None = None,
        *,
        image_ids: Mapping[str, str] | None = None,
        is_thing: Mapping[int, bool] | None = None,
        void: int | None = None,
    ) -> None:
        self._readers, self.name, self.class_of, self.label_set = readers, name, class_of, label_set
        self.image_ids, self.is_thing = image_ids or {}, is_thing or {}
        self.void = void if void is not None else VOID if label_set is None else label_set.void

    def __getitem__(self, image_id: str) -> Labels:
        return self._readers[image_id]()

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._readers  # without reading the labels, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def groups_classes(self) -> bool:
        """Whether several of its classes are read as one."""
        targets = [class_id for class_id in (self.class_of or {}).values() if class_id != VOID]
        return len(set(targets)) < len(targets)


@dataclass(frozen=True)
class Pairing:
    """Image ids of predictions and ground truth that belong together, and those that only one side has; all sorted."""

    both: tuple[tuple[str, str], ...]
    without_truth: tuple[str, ...]
    without_prediction: tuple[str, ...]


def pair_images(predictions: LabelSource, truth: LabelSource) -> Pairing:
    """Which prediction belongs to which ground truth."""
    by_id = _common(predictions.image_ids, truth.image_ids)
    if not by_id:
        bare = [{image_id: _bare(image_id) for image_id in side} for side in (predictions, truth)]
        names = [{image_id: image_id for image_id in side} for side in (predictions, truth)]
        ways: list[tuple[Mapping[str, str], Mapping[str, str]]] = [(names[0], names[1]), (bare[0], bare[1])]
        if not predictions.image_ids or not truth.image_ids:
            ways += [(predictions.image_ids, names[1]), (names[0], truth.image_ids)]
        by_id = max((_common(*way) for way in ways), key=len)
    both = tuple(sorted(by_id.items()))
    paired = set(by_id.values())
    return Pairing(
        both,
        tuple(sorted(set(predictions) - set(by_id))),
        tuple(sorted(image_id for image_id in truth if image_id not in paired)),
    )


def _bare(image_id: str) -> str:
    """The last part of an id, without endings. An id has no suffix, so what follows a dot belongs to the name."""
    return file_id(f"{image_id.rsplit('/', 1)[-1]}.png", ENDINGS)


def _common(predicted: Mapping[str, str], true: Mapping[str, str]) -> dict[str, str]:
    """Predicted image id to true image id where the names of both are equal and unique on their side."""
    counts = [Counter(side.values()) for side in (predicted, true)]
    of_name = {name: image_id for image_id, name in true.items()}
    return {
        image_id: of_name[name]
        for image_id, name in predicted.items()
        if counts[0][name] == 1 and counts[1].get(name) == 1
    }


def check_pairs(predictions: LabelSource, truth: LabelSource, *, missing: str = "error") -> Pairing:
    """The pairing of both sides. Raises `InputError` for an image that only one side has, unless `missing` allows it."""
    if missing not in MISSING:
        raise InputError(f"missing must be one of {', '.join(MISSING)}, but is {missing!r}.")
    pairing = pair_images(predictions, truth)
    if pairing.without_truth and missing != "skip":
        raise InputError(
            f"image {pairing.without_truth[0]!r} is predicted but has no ground truth "
            f"({_count(pairing.without_truth, len(predictions))}); compare the file names of {predictions.name} and "
            f"{truth.name}, or score the others with --missing skip."
        )
    if pairing.without_prediction and missing == "error":
        raise InputError(
            f"image {pairing.without_prediction[0]!r} has ground truth but no prediction "
            f"({_count(pairing.without_prediction, len(truth))}); predict it, count it as missed with --missing void, or "
            "leave it out with --missing skip."
        )
    return pairing


def _count(image_ids: Sequence[str], total: int) -> str:
    names = ", ".join(map(repr, image_ids[:_MOST_NAMES])) + ", …" * (len(image_ids) > _MOST_NAMES)
    return f"{len(image_ids)} of {total} images" + (f": {names}" if len(image_ids) > 1 else "")


def pairs(
    predictions: LabelSource,
    truth: LabelSource,
    *,
    missing: str = "error",
    skipped: list[str] | None = None,
    missed: list[str] | None = None,
) -> Iterator[tuple[str, Labels, Labels]]:
    """Image id, prediction and truth of every image, sorted; `missing` is one of `MISSING`.

    What is left out, or counted as missed, is added to `skipped` and `missed` with the reason. Raises `InputError` naming
    the first image that only one side has, or that cannot be read, unless `missing` allows it.
    """
    pairing = check_pairs(predictions, truth, missing=missing)
    skipped, missed = [] if skipped is None else skipped, [] if missed is None else missed
    if missing == "skip":
        skipped += [f"image {image_id!r}: no ground truth" for image_id in pairing.without_truth]
        skipped += [f"image {image_id!r}: no prediction" for image_id in pairing.without_prediction]
    for image_id, true_id in pairing.both:
        try:
            true = truth[true_id]
            predicted = _read(predictions, image_id, true, missed if missing == "void" else None)
        except InputError as error:
            if missing != "skip":
                raise
            skipped.append(str(error))
            continue
        yield image_id, predicted, true
    for true_id in pairing.without_prediction if missing == "void" else ():
        missed.append(f"image {true_id!r}: no prediction")
        true = truth[true_id]
        yield true_id, _nothing(true_id, true, predictions.void), true


def _read(predictions: LabelSource, image_id: str, true: Labels, missed: list[str] | None) -> Labels:
    """A prediction; one that cannot be read is added to `missed`, or an error where that is None."""
    try:
        return predictions[image_id]
    except InputError as error:
        if missed is None:
            raise
        missed.append(str(error))
        return _nothing(image_id, true, predictions.void)


def _nothing(image_id: str, true: Labels, void: int) -> Labels:
    """A prediction of nothing, in the size of the truth."""
    return Labels(image_id, np.full(true.semantic.shape, void, np.min_scalar_type(void)))
