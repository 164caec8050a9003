"""Which names and ids the class tables know: whatever else is found in a file is an error, and never becomes void.

Void without a word are only: the void id of a form, and classes of Cityscapes that are void among the 19, 27 or 7 by
Cityscapes' own definition, such as parking among the 19.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import unique_values


LABEL_ID_TABLES = {
    27: taxonomy.LABEL_ID_TO_27,
    19: taxonomy.LABEL_ID_TO_TRAIN_ID,
    16: taxonomy.LABEL_ID_TO_TRAIN_ID,
    7: taxonomy.LABEL_ID_TO_7,
    2: taxonomy.LABEL_ID_TO_2,
}
"""Class id by label id, uint8 [256], of each class table."""

CLASS_SPLITS = {
    27: (taxonomy.THINGS_27, taxonomy.STUFF_27),
    19: (taxonomy.THINGS_19, taxonomy.STUFF_19),
    16: (taxonomy.THINGS_19, taxonomy.STUFF_19),
    7: (taxonomy.THINGS_7, taxonomy.STUFF_7),
    2: (taxonomy.THINGS_2, taxonomy.STUFF_2),
}
"""Things and stuff of each class table; the 16 are the 19, of which `taxonomy.AVERAGED_16` enter averages."""

_MOST_SHOWN = 5
_LICENSE_PLATE = "license plate"  # label id -1, so it is in no map; converters list it all the same


def class_names(classes: int) -> tuple[str, ...]:
    """Names of the 27, 19, 16 (with the ids of the 19), 7 or 2 classes by class id."""
    tables = {
        27: taxonomy.NAMES_27,
        19: taxonomy.NAMES_19,
        16: taxonomy.NAMES_19,
        7: taxonomy.CATEGORIES,
        2: taxonomy.NAMES_2,
    }
    if classes not in tables:
        raise InputError(f"Class tables exist for 27, 19, 16, 7 and 2 classes, not for {classes}.")
    return tables[classes]


def class_ids_by_name(classes: int) -> dict[str, int]:
    """Class id of every name of Cityscapes, 255 for a class that is void in this table.

    Among the 7 groups every class has the id of its group, and among 2 classes every class but person that of the rest.
    """
    found = {c.name: taxonomy.VOID for c in taxonomy.CITYSCAPES} | {_LICENSE_PLATE: taxonomy.VOID}
    if classes == 7:
        found |= {c.name: taxonomy.CATEGORIES.index(c.category) for c in taxonomy.CLASSES_27}
    if classes == 2:
        found |= {c.name: int(taxonomy.LABEL_ID_TO_2[c.label_id]) for c in taxonomy.CITYSCAPES}
    return found | {name: class_id for class_id, name in enumerate(class_names(classes))}


def named_classes(names: Mapping[int, str], classes: int, where: str) -> dict[int, int]:
    """Class id of every category id, by name. Raises `InputError`, which begins with `where`, for unknown names."""
    known = class_ids_by_name(classes)
    unknown = {number: name for number, name in names.items() if name not in known}
    if unknown:
        shown = ", ".join(
            f"{number} {name!r}{_alike(name, known)}" for number, name in list(unknown.items())[:_MOST_SHOWN]
        )
        more = f" and {len(unknown) - _MOST_SHOWN} more" if len(unknown) > _MOST_SHOWN else ""
        raise InputError(
            f"{where}: no class of Cityscapes has the name of category {shown}{more}; name categories as Cityscapes does, "
            "or, if they are clusters, choose a --matching other than none."
        )
    return {number: known[name] for number, name in names.items()}


def classes_of_train_ids(names: Sequence[str], classes: int, where: str) -> dict[int, int]:
    """Class id of every class of a label set whose 19 classes are named `names`.

    Raises `InputError`, which begins with `where`, for the 27 classes, which 19 do not tell apart, and for unknown names.
    """
    if classes == 27:
        raise InputError(f"{where}: its 19 named classes cannot be scored as 27; use --classes 19, 16, 7 or 2.")
    return named_classes(dict(enumerate(names)), classes, where)


def _alike(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    alike = get_close_matches(name.lower().strip(), known, n=1, cutoff=0.8)
    return f" ({alike[0]!r}?)" if alike else ""


def require_classes(semantic: NDArray[np.integer], classes: int, where: str, *, void: int = taxonomy.VOID) -> None:
    """Raises `InputError`, which begins with `where`, if a map holds ids that are neither one of `classes` ids nor void."""
    strange = (semantic >= classes) & (semantic != void)
    if semantic.dtype.kind == "i":
        strange |= semantic < 0
    if strange.any():
        ids = np.unique(semantic[strange])
        raise InputError(
            f"{where}: {_listed(ids)} {'is no id' if len(ids) == 1 else 'are no ids'} of the {classes} classes "
            f"(0-{classes - 1}, void {void}); give class ids (train ids for 19), label ids as a gtFine tree, or, if they "
            "are clusters, choose a --matching other than none."
        )


def _listed(ids: NDArray[np.integer]) -> str:
    return ", ".join(map(str, ids[:_MOST_SHOWN].tolist())) + (
        f" and {len(ids) - _MOST_SHOWN} more" if len(ids) > _MOST_SHOWN else ""
    )


def mapped_ids(ids: NDArray[np.integer], target: Mapping[int, int], where: str) -> NDArray[np.integer]:
    """A map [H, W] with `target` in place of every id. Raises `InputError`, which begins with `where`, for other ids."""
    present, inverse = unique_values(ids.ravel())
    strange = np.array([k for k in present.tolist() if k not in target], np.int64)
    if len(strange):
        raise InputError(
            f"{where}: holds {_listed(strange)}, of which mbps_export.json knows no class; correct the map."
        )
    values = np.array([target[k] for k in present.tolist()], np.int64)
    return values.astype(np.min_scalar_type(values.max(initial=0)))[inverse].reshape(ids.shape)
