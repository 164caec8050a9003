"""The choices an evaluation makes, in one place, checked before the first image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.metrics.matching import MATCHINGS
from mbps_dataset.metrics.segment_matching import (
    CONVENTIONS,
    REPORT_HW,
    REPORT_MIN_STUFF_PX,
    REPORT_MIN_THING_PX,
    MatchingRules,
)
from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class MetricSettings(Settings):
    """See `mbps_dataset.metrics.PanopticQuality` for the meaning of the fields. Raises `RecipeError` naming the field."""

    things: tuple[int, ...] = setting((), "classes with instances, ascending", at_least=0)
    stuff: tuple[int, ...] = setting((), "classes without instances, ascending", at_least=0)
    pseudo_things: tuple[int, ...] | None = setting(None, "pseudo-classes with instances, or unknown", at_least=0)
    pseudo_stuff: tuple[int, ...] | None = setting(None, "pseudo-classes without instances, or unknown", at_least=0)
    convention: str = setting("coco", "rules by which segments are matched and averaged", choices=CONVENTIONS)
    matching: str = setting("none", "how pseudo-classes are paired with classes", choices=MATCHINGS)
    drop_zero_overlap: bool = setting(False, "leave a pseudo-class unpaired that shares no pixel with its class")
    void: int = setting(255, "id of pixels without truth", at_least=0)
    pred_void: int = setting(255, "id of pixels without prediction", at_least=0)
    crowds: str = setting("all", "which crowd regions of a class forgive a prediction", choices=("all", "last"))
    merge_stuff: bool = setting(True, "all pixels of a stuff class are one segment, whatever their ids")
    averaged: tuple[int, ...] = setting((), "classes that enter the averages, ascending", at_least=0)
    report_hw: tuple[int, int] | None = setting(
        REPORT_HW, "size to which the convention 'report' brings every map", unit="pixels", at_least=1,
        source="report 3.2",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_disjoint("things", "stuff")
        self._require_disjoint("pseudo_things", "pseudo_stuff")
        for name in ("things", "stuff"):
            self._require_without_void(name, "void")
            self._require_without_void(f"pseudo_{name}", "pred_void")
        if self.matching in ("hungarian_split", "u2seg") and None in (self.pseudo_things, self.pseudo_stuff):
            raise RecipeError(
                f"matching={self.matching!r} needs pseudo_things and pseudo_stuff; use matching='hungarian' if "
                "pseudo-classes are not split."
            )
        unknown = sorted(set(self.averaged) - set(self.class_ids))
        if unknown:
            raise RecipeError(f"averaged holds {unknown}, which are no classes.")

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Things and stuff, ascending."""
        return tuple(sorted(self.things + self.stuff))

    @property
    def declared_pseudo_ids(self) -> tuple[int, ...]:
        """Pseudo-classes named beforehand, ascending."""
        return tuple(sorted((self.pseudo_things or ()) + (self.pseudo_stuff or ())))

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Suffix of a result's name to the classes averaged under it."""
        members = {"": self.class_ids, "_things": self.things, "_stuff": self.stuff}
        return {suffix: tuple(c for c in ids if c in self.averaged) for suffix, ids in members.items()}

    def rules(self) -> MatchingRules:
        """The rules by which segments are matched."""
        smallest = (REPORT_MIN_STUFF_PX, REPORT_MIN_THING_PX) if self.convention == "report" else (1, 1)
        return MatchingRules(self.things, self.stuff, self.convention, self.crowds, self.merge_stuff, *smallest)

    def _require_disjoint(self, first: str, second: str) -> None:
        both = set(getattr(self, first) or ()) & set(getattr(self, second) or ())
        if both:
            raise RecipeError(f"{first} and {second} share {sorted(both)}; every id belongs to one of them.")

    def _require_without_void(self, name: str, void: str) -> None:
        if getattr(self, void) in (getattr(self, name) or ()):
            raise RecipeError(
                f"{name} contains the void id {getattr(self, void)}; choose another {void}, for instance 65535."
            )


def as_ids(ids: Collection[int], name: str) -> tuple[int, ...]:
    """`ids` ascending; `RecipeError` if one is negative or there twice."""
    result = tuple(sorted(int(k) for k in ids))
    if len(set(result)) < len(result) or (result and result[0] < 0):
        raise RecipeError(f"{name} must hold different ids >= 0, but is {list(ids)}.")
    return result
