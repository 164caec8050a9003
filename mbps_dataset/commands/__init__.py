"""Subcommands of `mbps`. Each module has `HELP`, `EXAMPLE`, `add_arguments(parser)` and `run(arguments) -> status`."""

from __future__ import annotations

from types import ModuleType

from mbps_dataset.commands import (
    ablate,
    build,
    calibrate,
    convert,
    evaluate,
    export,
    info,
    predict,
    preview,
    push,
    resume,
    table,
    train,
)


COMMANDS: dict[str, ModuleType] = {
    "build": build,
    "resume": resume,
    "calibrate": calibrate,
    "eval": evaluate,
    "preview": preview,
    "push": push,
    "export": export,
    "info": info,
    "convert": convert,
    "train": train,
    "predict": predict,
    "ablate": ablate,
    "table": table,
}
