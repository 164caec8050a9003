"""`mbps push`: a label set as a release on the Hub."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mbps_dataset.commands.calling import program


if TYPE_CHECKING:
    from mbps_dataset.hub.publish import DatasetRepository, Plan, RepositoryState

HELP = "release a label set on the Hugging Face Hub: one configuration per recipe, one tag per release"
EXAMPLE = "mbps push build/mbps org/mbps-pseudo --tag v1.0.0 --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_set", type=Path, metavar="LABELSET", help="folder written by `mbps build`")
    parser.add_argument("repository", metavar="OWNER/NAME", help="dataset repository; made if it does not exist")
    parser.add_argument("--tag", required=True, help="name of the release, e.g. v1.0.0; must not exist yet")
    parser.add_argument("--with-images", action="store_true",
                        help="send the images too, where their licence allows it (default: labels only)")  # fmt: skip
    parser.add_argument("--without-preview", action="store_true",
                        help="leave out the column `preview`, small pictures of the labels for the Hub's viewer")  # fmt: skip
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument(
        "--public", action="store_true", help="if the repository is made, make it public (default: private)"
    )
    seen.add_argument("--private", action="store_true", help="refuse a repository that exists and is public")
    parser.add_argument("--revision", default="main", metavar="BRANCH", help="branch to push to (default: main)")
    parser.add_argument("--default", action="store_true", dest="make_default",
                        help="make this recipe the one loaded without a name (default: the first one pushed)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="list what would be sent, with sizes; send nothing")


def run(arguments: argparse.Namespace) -> int:
    """Push, or say what would be pushed."""
    from huggingface_hub.utils import disable_progress_bars

    from mbps_dataset.hub.publish import DatasetRepository, check_target, plan_commit
    from mbps_dataset.hub.release import prepare
    from mbps_dataset.labelset.document import restricted_weights
    from mbps_dataset.labelset.folder import LabelSetFolder
    from mbps_dataset.reading.hub_errors import require_token
    from mbps_dataset.scoring.quality_table import QUALITY_FILE
    from mbps_dataset.store import scratch_folder

    if arguments.quiet or not sys.stderr.isatty():
        disable_progress_bars()
    built = LabelSetFolder(arguments.label_set)
    if said := restricted_weights(built.document):  # a damaged set is reported before the Hub is asked
        print(said, file=sys.stderr)
    repository = DatasetRepository(arguments.repository, arguments.revision)
    if not arguments.dry_run:
        require_token()
    state = _look(repository, dry_run=arguments.dry_run)
    check_target(repository, state, arguments.tag, private=arguments.private, public=arguments.public)
    with _ending_tidily(), scratch_folder(_scratch_parent(built.root), "release") as scratch:
        release = prepare(
            built,
            arguments.tag,
            scratch,
            with_images=arguments.with_images,
            with_preview=not arguments.without_preview,
        )
        if release.quality is None:
            print(f"The card will state no quality; to change that, first run: {program()} eval {built.root} --json "
                  f"{built.root / QUALITY_FILE}", file=sys.stderr)  # fmt: skip
        if arguments.dry_run:
            plan = plan_commit(release, repository.repo_id, state, make_default=arguments.make_default)
            print_plan(repository, state, plan, arguments)
            return 0
        repository.create(state, private=not arguments.public)
        commit, plan = repository.commit(release, make_default=arguments.make_default)
        repository.tag(arguments.tag, commit, plan.tag_message)
    images = "with images" if release.with_images else "labels only"
    print(f"Released {release.recipe} as {arguments.tag} of {repository.repo_id}: {len(plan.additions)} files, "
          f"{readable_size(plan.size)}, {images}, commit {commit[:7]}.")  # fmt: skip
    if not state.exists and not arguments.public:
        print(
            "The new repository is private: its owners alone can load it, until its settings on the Hub say otherwise."
        )
    print(f'Load it:  load_dataset("{repository.repo_id}", "{release.recipe}", revision="{arguments.tag}")')
    return 0


def _look(repository: DatasetRepository, *, dry_run: bool) -> RepositoryState:
    """What is on the Hub; a dry run can do without."""
    from mbps_dataset.errors import PublishError
    from mbps_dataset.hub.publish import RepositoryState

    try:
        return repository.look()
    except PublishError as error:
        if not dry_run:
            raise
        print(f"{error} So this list supposes an empty repository.", file=sys.stderr)
        return RepositoryState()


def _scratch_parent(root: Path) -> Path:
    """Where copies without images are made: beside the label set, which has room, or in the system's place."""
    return root if os.access(root, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def _ending_tidily() -> Iterator[None]:
    """Let a termination unwind as Ctrl-C does, so that copies are removed; nothing helps against a kill (-9)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_plan(
    repository: DatasetRepository, state: RepositoryState, plan: Plan, arguments: argparse.Namespace
) -> None:
    """The files of a push with their sizes, and where they would go."""
    kind = "" if state.exists else f" (new, {'public' if arguments.public else 'private'})"
    print(f"{repository.repo_id}{kind}, branch {repository.branch}, tag {arguments.tag}")
    for file in plan.additions:
        print(f"  send    {readable_size(file.size):>9}  {file.path}")
    for path in plan.deletions:
        print(f"  remove  {'':>9}  {path}")
    images = "with images" if arguments.with_images else "labels only, no image"
    print(f"{len(plan.additions)} files, {readable_size(plan.size)}, {images}; files that the Hub has already are not "
          "sent again.\nDry run: nothing was sent.")  # fmt: skip


def readable_size(size: int) -> str:
    """
    >>> readable_size(999), readable_size(1_234_567)
    ('999 B', '1.2 MB')
    """
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
