"""Where images come from: data sets in their own layouts, any folder of photographs or stereo video, or rendered scenes.

`SOURCES` has every source by name, its module imported when it is asked for; `mbps_dataset.source_names` lists them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.reading.names import shown
from mbps_dataset.settings import parse_setting
from mbps_dataset.source_names import REGISTERED, SOURCE_CLASSES, source_names
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.cityscapes import CityscapesSource
from mbps_dataset.sources.folder import FolderSource
from mbps_dataset.sources.frame import Frame, Source, Truth
from mbps_dataset.sources.kitti import KittiSource
from mbps_dataset.sources.rendered import ScenesSource
from mbps_dataset.sources.stereo_folder import StereoFolderSource


__all__ = [
    "SOURCES",
    "Camera",
    "CityscapesSource",
    "FolderSource",
    "Frame",
    "KittiSource",
    "ScenesSource",
    "Source",
    "StereoFolderSource",
    "Truth",
    "open_source",
    "read_source_options",
    "register",
    "source_of_folder",
]

AnySource = typing.TypeVar("AnySource", bound=Source)


class _Sources(Mapping[str, type[Source]]):
    """Source classes by name."""

    def __getitem__(self, name: str) -> type[Source]:
        if name in REGISTERED:
            return REGISTERED[name]
        module, _, cls = SOURCE_CLASSES[name].partition(":")
        found: type[Source] = getattr(import_module(f"{__name__}.{module}"), cls)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(source_names())

    def __len__(self) -> int:
        return len(source_names())


SOURCES = _Sources()


def register(cls: type[AnySource]) -> type[AnySource]:
    """Make a source of yours known under its `name`, to Python and to every command; for use as a decorator.

    Raises `InputError` if another source has the name.
    """
    known = REGISTERED.get(cls.name)
    if cls.name in SOURCE_CLASSES or (known is not None and known.__qualname__ != cls.__qualname__):
        raise InputError(f"A source {cls.name!r} exists already; give yours another name.")
    REGISTERED[cls.name] = cls
    return cls


_MARKS = {
    "cityscapes": ({"leftImg8bit"}, {"leftImg8bit_sequence"}),
    "kitti": ({"training/image_2"}, {"image_02/data"}, {"*_sync/image_02"}, {"*/*_sync/image_02"}),
    "stereo": ({"left", "right", "calibration.json"},),
    "acdc": ({"rgb_anon", "gt"},),
    "bdd100k": ({"images/10k"},),
    "coco": ({"annotations/panoptic_*.json"},),
    "kitti-panoptic": ({"training/images", "training/annotations"},),
    "kitti-step": ({"images", "panoptic_maps"},),
    "mots": (
        {"training/image_02", "instances"},
        {"training/image_02", "instances_txt"},
        {"train/*/img1"},
        {"train/images", "train/instances"},
    ),
    "muses": ({"frame_camera"},),
    "vistas": ({"training/images", "config*.json"},),
    "waymo": ({"training/camera_image"}, {"validation/camera_image"}),
}
"""What the sources that read a tree find in it: all patterns of one of the sets. Any other folder is a plain one."""


def source_of_folder(data_dir: str | Path) -> str:
    """The name of the source that reads what `data_dir` holds; "folder" where no layout is known.

    Raises `InputError` for what can be no path.
    """
    try:
        root = Path(data_dir).expanduser()
        root.is_dir()
        found = [
            name
            for name, layouts in _MARKS.items()
            if any(all(any(root.glob(pattern)) for pattern in layout) for layout in layouts)
        ]
    except (OSError, RuntimeError, ValueError) as error:  # too long; the home of a user who does not exist
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"data_dir {shown(data_dir)} is no path ({reason}); give a folder.") from None
    return found[0] if found else "folder"


def open_source(name: str, **arguments: Any) -> Source:
    """Open a source by name with the arguments of its class; arguments that are None are left to their default.

    Raises `InputError` for an unknown name, a missing, unknown or impossible argument, or a source without images.
    """
    if name not in SOURCES:
        raise InputError(f"Unknown source {name!r}; known are {', '.join(SOURCES)}.")
    given = {key: value for key, value in arguments.items() if value is not None}
    parameters = inspect.signature(SOURCES[name]).parameters
    if unknown := sorted(set(given) - set(parameters)):
        raise InputError(f"The source {name!r} takes no {unknown[0]!r}; it takes {', '.join(parameters)}.")
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in given]
    if missing:
        option = f"--{missing[0].replace('_', '-')} DIR"  # `hub.python_words` reads this form
        raise InputError(f"The source {name!r} needs {option}, the folder with the images.")
    try:
        return SOURCES[name](**given)
    except (InputError, RecipeError):
        raise
    except (TypeError, ValueError, RuntimeError, OSError) as error:  # a text for a number; a home that nobody has
        raise InputError(f"The source {name!r} cannot be opened with {shown(given)} ({error}).") from error


def read_source_options(name: str, options: Iterable[str]) -> dict[str, Any]:
    """Options as on the command line, such as ``["sequence=true"]``, as arguments of the source `name`.

    Raises `InputError` for an option that the source does not have, or a value of another type.
    """
    parameters = inspect.signature(SOURCES[name]).parameters
    known = [option for option in parameters if not option.endswith("_dir")]  # folders have arguments of their own
    hints, given = typing.get_type_hints(SOURCES[name].__init__), {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{shown(option)} is no option of the source {name!r}; {has}. Give NAME=VALUE.")
        try:
            given[key] = parse_setting(text, hints[key], f"the option {key} of the source {name!r}")
        except RecipeError as error:
            raise InputError(str(error)) from None
    return given
