"""The `mbps` command: one module of `mbps_dataset.commands` per subcommand.

Exit status: 0 done; 1 something the user can mend, said in one line; 3 done, but some images failed; 130 interrupted,
143 by a termination.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from mbps_dataset._version import __version__
from mbps_dataset.commands import COMMANDS
from mbps_dataset.commands.calling import as_called
from mbps_dataset.errors import (
    CalibrationError,
    InputError,
    PublishError,
    RecipeError,
    StoreError,
    TrainingError,
    WeightsError,
    WorkerError,
)


USER_ERRORS = (InputError, RecipeError, WeightsError, CalibrationError, StoreError, PublishError, TrainingError,
               WorkerError)  # fmt: skip


def parser(words: Callable[[str], str] = str) -> argparse.ArgumentParser:
    """The argument parser with every subcommand; `words` writes its examples as they work where the person is."""
    top = argparse.ArgumentParser(
        prog="mbps",
        description="Panoptic pseudo-labels from street images without human labels.",
        epilog=words(
            "`mbps COMMAND --help` ends with an example. Start with:\n  mbps build --recipe demo --output build/demo"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"mbps-dataset {__version__}")
    top.add_argument("-q", "--quiet", action="store_true", help="no progress")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = subparsers.add_parser(
            name,
            help=command.HELP,
            description=command.HELP[0].upper() + command.HELP[1:] + ".",
            epilog=words(f"example:\n  {command.EXAMPLE}"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        _accept_quiet(sub)
        sub.set_defaults(run=command.run)
    return top


def _accept_quiet(command: argparse.ArgumentParser) -> None:
    """Take ``--quiet`` after the name of a command too; what stood before the name stays where it is not repeated."""
    nested = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    for inner in (each for action in nested for each in action.choices.values()):
        _accept_quiet(inner)
    command.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="no progress")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    top = parser(as_called)
    given = top.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("httpx", "huggingface_hub", "transformers", "datasets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if given.command is None:
        top.print_help()
        return 0
    if given.quiet:
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    try:
        with _termination_as_interruption():
            status = given.run(given)
        sys.stdout.flush()
        return status
    except USER_ERRORS as error:
        print(f"mbps {given.command}: {as_called(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as interrupt:
        print("\nInterrupted. Finished work is kept; run the same command again to go on.", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(interrupt, _Terminated) else signal.SIGINT)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, as `kill`, a batch system or a shutdown sends it."""


@contextmanager
def _termination_as_interruption() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that workers are ended and scratch files removed."""
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return

    def end(number: int, frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break off the tidying
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
