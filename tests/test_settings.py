"""One dialect of settings: whoever declares some gets the same checks and the same words."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.metrics.evaluation_settings import MetricSettings
from mbps_dataset.scenes.scene_settings import SceneSettings
from mbps_dataset.semantics_settings import CrfSettings
from mbps_dataset.settings import Settings, parse_setting, require_ascending, setting
from mbps_dataset.stage_settings import ThingsSettings
from mbps_dataset.training.cause import CauseTrainingSettings
from mbps_dataset.training.contrastive import ContrastiveSettings
from mbps_dataset.training.spidepth import SPIdepthTrainingSettings
from mbps_dataset.training.visual_words import VisualWordsSettings


@dataclass(frozen=True)
class Oven(Settings, prefix="oven."):
    heat: float = setting(180.0, "of the air", unit="degrees Celsius", source="grandmother", at_least=20, at_most=300)
    shelf: int = setting(2, "counted from below", at_least=1)
    range_min: tuple[int, int] = setting((40, 50), "least and largest time", unit="minutes", at_least=1)
    spices: tuple[str, ...] = setting((), "what goes in")
    mode: str | None = setting(None, "how it heats", choices=(None, "fan", "grill"))  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ascending(self, "range_min")


TRAINING = (CauseTrainingSettings, ContrastiveSettings, SPIdepthTrainingSettings, VisualWordsSettings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heat": 10}, "oven.heat must be between 20 and 300, but is 10."),
        ({"heat": float("nan")}, "oven.heat must be between 20 and 300, but is nan."),
        ({"heat": True}, "oven.heat must be of type float, but is True."),
        ({"heat": "hot"}, "oven.heat must be of type float, but is 'hot'."),
        ({"shelf": 0}, "oven.shelf must be at least 1, but is 0."),
        ({"shelf": 1.0}, "oven.shelf must be of type int, but is 1.0."),
        ({"range_min": (40, 50, 60)}, "oven.range_min must be of type tuple[int, int], but is (40, 50, 60)."),
        ({"range_min": (40, 50.5)}, "oven.range_min must be of type tuple[int, int], but is (40, 50.5)."),
        ({"range_min": (0, 50)}, "oven.range_min must be at least 1, but is 0."),
        ({"range_min": (50, 40)}, "oven.range_min must be (least, largest), but is (50, 40)."),
        ({"spices": ("salt", 1)}, "oven.spices must be of type tuple[str, ...], but is ('salt', 1)."),
        ({"spices": ["salt"]}, "oven.spices must be of type tuple[str, ...], but is ['salt']."),
        ({"heat": float("inf")}, "oven.heat must be between 20 and 300, but is inf."),
        ({"shelf": 2**63}, "oven.shelf must be between 1 and 9223372036854775807, but is 9223372036854775808."),
        ({"shelf": 10**400}, "oven.shelf must be between 1 and 9223372036854775807, but is 1000"),
        ({"spices": ("a\nb",)}, r"oven.spices must be text without control characters, but is 'a\nb'."),
        ({"spices": ("a\udcffb",)}, r"oven.spices must be text without control characters, but is 'a\udcffb'."),
        ({"spices": ("a" * 5000,)}, "oven.spices must have at most 4096 characters, but has 5000."),
        ({"heat": "x" * 10**6}, "oven.heat must be of type float, but is 'xxx"),
        ({"mode": "steam"}, "oven.mode must be one of None, 'fan', 'grill', but is 'steam'."),
    ],
)
def test_a_setting_that_cannot_be_is_named_when_it_is_made(values: dict, message: str) -> None:
    for make in (lambda: Oven(**values), lambda: replace(Oven(), **values)):
        with pytest.raises(RecipeError, match=re.escape(message)):
            make()


def test_what_can_be_is_left_alone_and_cannot_change() -> None:
    oven = Oven(heat=200, range_min=(50, 50), spices=("salt",), mode="fan")
    assert (oven.heat, oven.range_min, oven.spices, oven.mode) == (200, (50, 50), ("salt",), "fan")
    with pytest.raises(FrozenInstanceError):
        oven.heat = 1.0  # type: ignore[misc]


def test_a_declaration_says_everything() -> None:
    declared = fields(Oven)[0].metadata
    assert (declared["help"], declared["unit"], declared["source"]) == ("of the air", "degrees Celsius", "grandmother")
    assert (declared["min"], declared["max"]) == (20, 300)


@pytest.mark.parametrize(
    ("declared", "values", "message"),
    [
        (CauseTrainingSettings, {"contrastive_steps": -5}, "contrastive_steps must be at least 0, but is -5."),
        (CauseTrainingSettings, {"window_share": (1.0, 0.5)}, "window_share must be (least, largest)"),
        (CauseTrainingSettings, {"teacher_decay": 1.5}, "teacher_decay must be between 0 and 1, but is 1.5."),
        (ContrastiveSettings, {"temperature": 0}, "temperature must be at least 0.0001, but is 0."),
        (SPIdepthTrainingSettings, {"batch_size": 0}, "batch_size must be at least 1, but is 0."),
        (VisualWordsSettings, {"masked_share": (0.5, 0.1)}, "masked_share must be (least, largest)"),
        (VisualWordsSettings, {"words": 1}, "words must be at least 2, but is 1."),
        (SceneSettings, {"height": 8}, "height must be between 16 and 8192, but is 8."),
        (MetricSettings, {"convention": "mine"}, "convention must be one of 'coco', 'cups', 'report', but is 'mine'."),
        (MetricSettings, {"things": (1.5,)}, "things must be of type tuple[int, ...], but is (1.5,)."),
        (CrfSettings, {"iterations": -1}, "crf.iterations must be between 0 and 1000, but is -1."),
        (ThingsSettings, {"n_things": 2.5}, "things.n_things must be of type int, but is 2.5."),
    ],
)
def test_training_metrics_scenes_and_stages_speak_alike(declared: type, values: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        declared(**values)


@pytest.mark.parametrize("declared", [*TRAINING, SceneSettings, MetricSettings])
def test_every_setting_says_what_it_is(declared: type) -> None:
    for each in fields(declared):
        assert each.metadata["help"], each.name
        numbers = isinstance(each.default, (int, float)) and not isinstance(each.default, bool)
        assert not numbers or each.metadata["min"] is not None, f"{each.name} has no range"


def test_text_becomes_the_type_that_is_declared() -> None:
    assert parse_setting("1, 2", tuple[int, ...], "x") == (1, 2) and parse_setting("none", str | None, "x") is None
    with pytest.raises(RecipeError, match="x must be of type int, but 'two' was given"):
        parse_setting("two", int, "x")
