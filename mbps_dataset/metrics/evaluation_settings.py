"""The choices an evaluation makes, in one place, checked before the first image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mbps_dataset.metrics.matching import MATCHINGS
from mbps_dataset.metrics.segment_matching import (
    CONVENTIONS,
    REPORT_MIN_STUFF_PX,
    REPORT_MIN_THING_PX,
    MatchingRules,
)


@dataclass(frozen=True)
class MetricSettings:
    """See `mbps_dataset.metrics.PanopticQuality` for the meaning of the fields. Raises `ValueError` in `checked`."""

    things: tuple[int, ...]
    stuff: tuple[int, ...]
    pseudo_things: tuple[int, ...] | None
    pseudo_stuff: tuple[int, ...] | None
    convention: str
    matching: str
    drop_zero_overlap: bool
    void: int
    pred_void: int
    crowds: str
    merge_stuff: bool
    averaged: tuple[int, ...]
    report_hw: tuple[int, int] | None

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

    def checked(self) -> MetricSettings:
        """Self, or `ValueError` saying which setting cannot be."""
        _choose("convention", self.convention, CONVENTIONS)
        _choose("matching", self.matching, MATCHINGS)
        _choose("crowds", self.crowds, ("all", "last"))
        self._require_disjoint("things", "stuff")
        self._require_disjoint("pseudo_things", "pseudo_stuff")
        for name in ("things", "stuff"):
            self._require_without_void(name, "void")
            self._require_without_void(f"pseudo_{name}", "pred_void")
        if self.matching in ("hungarian_split", "u2seg") and None in (self.pseudo_things, self.pseudo_stuff):
            raise ValueError(
                f"matching={self.matching!r} needs `pseudo_things` and `pseudo_stuff`; use matching='hungarian' if "
                "pseudo-classes are not split."
            )
        unknown = sorted(set(self.averaged) - set(self.class_ids))
        if unknown:
            raise ValueError(f"`averaged` holds {unknown}, which are no classes.")
        return self

    def _require_disjoint(self, first: str, second: str) -> None:
        both = set(getattr(self, first) or ()) & set(getattr(self, second) or ())
        if both:
            raise ValueError(f"`{first}` and `{second}` share {sorted(both)}; every id belongs to one of them.")

    def _require_without_void(self, name: str, void: str) -> None:
        if getattr(self, void) in (getattr(self, name) or ()):
            raise ValueError(
                f"`{name}` contains the void id {getattr(self, void)}; choose another `{void}`, for instance 65535."
            )


def as_ids(ids: Collection[int], name: str) -> tuple[int, ...]:
    """`ids` ascending; `ValueError` if one is negative or there twice."""
    result = tuple(sorted(int(k) for k in ids))
    if len(set(result)) < len(result) or (result and result[0] < 0):
        raise ValueError(f"`{name}` must hold different ids >= 0, but is {list(ids)}.")
    return result


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, but is {value!r}.")
