"""Sending a release to the Hub: all of it in one commit, then a tag.

Decisions (ours, after what `datasets` 5.2 does not do):

* an existing tag is refused before anything is prepared or sent; a release never changes;
* large files go up first, and the commit that makes them visible names the commit it builds on, so that two pushes at
  once cannot lose each other's configuration: whoever comes second starts again from what is there now;
* every step may be repeated: what the Hub already has is not sent again, a commit that changes nothing is none, and a
  tag that points to our commit is ours. A push that broke off is continued by the same command;
* the tag is annotated, and its message is the digest of the label set (a line for each recipe of the repository); it is
  asked for afterwards, so that "released" means that it can be loaded;
* a repository that is made is private unless it was asked to be public: what went out cannot be called back.

The token is left to `huggingface_hub`: it is neither an argument nor part of any message.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from mbps_dataset._version import __version__
from mbps_dataset.errors import PublishError
from mbps_dataset.hub.release import Release, ReleaseFile
from mbps_dataset.hub.release_card import recipe_body, repository_card, split_card
from mbps_dataset.labelset.card import digests_in
from mbps_dataset.reading.hub_errors import persistently


_PAUSES_FOR_A_TAG = (1.0, 2.0, 4.0)
"""Seconds between looks for a tag that was accepted: the Hub answers from several machines."""

FILES_AT_ONCE = 8
"""Files of one upload step; a step that breaks off is repeated without the files that arrived."""


@dataclass(frozen=True)
class RepositoryState:
    """What a dataset repository holds on a branch: `head` is None if repository or branch do not exist yet."""

    exists: bool = False
    private: bool = False
    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    head: str | None = None
    paths: tuple[str, ...] = ()
    readme: str | None = None


@dataclass(frozen=True)
class Plan:
    """What one commit does, files to add or replace and stale ones to remove, and the message of the tag on it."""

    additions: tuple[ReleaseFile, ...]
    deletions: tuple[str, ...]
    tag_message: str

    @property
    def size(self) -> int:
        return sum(file.size for file in self.additions)


@dataclass(frozen=True)
class DatasetRepository:
    """A dataset repository ``owner/name`` of the Hub, on one branch.

    Raises `PublishError` for a name that is none. `wait` sleeps between attempts (default: `time.sleep`).
    """

    repo_id: str
    branch: str = "main"
    api: HfApi = field(default_factory=lambda: HfApi(library_name="mbps-dataset", library_version=__version__))
    wait: Callable[[float], object] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}", self.repo_id):
            raise PublishError(
                f"{self.repo_id!r} names no dataset repository; write OWNER/NAME, e.g. org/mbps-pseudo."
            )

    def look(self, attempts: int = 3) -> RepositoryState:
        """The state of repository and branch now. Raises `PublishError` if the Hub cannot be reached."""
        return persistently(self._look, f"Cannot read {self.repo_id}", attempts=attempts, wait=self.wait)

    def _look(self) -> RepositoryState:
        try:
            info = self.api.repo_info(self.repo_id, repo_type="dataset")
            refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        except RepositoryNotFoundError:
            return RepositoryState()
        branches = {ref.name: ref.target_commit for ref in refs.branches}
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        head = branches.get(self.branch)
        if head is None:
            return RepositoryState(True, bool(info.private), branches, tags)
        paths = tuple(self.api.list_repo_files(self.repo_id, repo_type="dataset", revision=head))
        readme = self._read("README.md", head) if "README.md" in paths else None
        return RepositoryState(True, bool(info.private), branches, tags, head, paths, readme)

    def _read(self, path: str, revision: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            local = self.api.hf_hub_download(
                self.repo_id, path, repo_type="dataset", revision=revision, cache_dir=scratch
            )
            return Path(local).read_text(encoding="utf-8")

    def create(self, state: RepositoryState, *, private: bool) -> None:
        """Make repository and branch where they are missing. Raises `PublishError`."""
        what = f"Cannot create {self.repo_id}"
        if not state.exists:
            persistently(
                lambda: self.api.create_repo(self.repo_id, repo_type="dataset", private=private, exist_ok=True),
                what,
                wait=self.wait,
            )
        if self.branch not in state.branches and self.branch != "main":
            persistently(
                lambda: self.api.create_branch(self.repo_id, repo_type="dataset", branch=self.branch, exist_ok=True),
                f"{what}, branch {self.branch}",
                wait=self.wait,
            )

    def commit(self, release: Release, *, make_default: bool = False) -> tuple[str, Plan]:
        """Send the release as one commit on top of whatever is there; returns the commit and what it did.

        Raises `PublishError` if the Hub refuses, or keeps failing.
        """
        return persistently(
            lambda: self._commit(release, make_default),
            f"Cannot push to {self.repo_id}",
            wait=self.wait,
            uploads=True,
        )

    def _commit(self, release: Release, make_default: bool) -> tuple[str, Plan]:
        state = self._look()
        plan = plan_commit(release, self.repo_id, state, make_default=make_default)
        additions = [
            CommitOperationAdd(file.path, file.content if isinstance(file.content, bytes) else str(file.content))
            for file in plan.additions
        ]
        self._upload(additions)
        commit = self.api.create_commit(
            self.repo_id,
            [*additions, *(CommitOperationDelete(path, is_folder=False) for path in plan.deletions)],
            commit_message=f"Release {release.tag} of {release.recipe}",
            commit_description=plan.tag_message,
            repo_type="dataset",
            revision=self.branch,
            parent_commit=state.head,
        )
        return commit.oid, plan

    def _upload(self, additions: Sequence[CommitOperationAdd]) -> None:
        """Send large files ahead of the commit, a few at a time; those that the Hub has are skipped."""
        for first in range(0, len(additions), FILES_AT_ONCE):
            batch = list(additions[first : first + FILES_AT_ONCE])
            persistently(
                partial(
                    self.api.preupload_lfs_files,
                    self.repo_id,
                    batch,
                    repo_type="dataset",
                    revision=self.branch,
                    free_memory=False,
                ),
                f"Cannot upload to {self.repo_id}",
                wait=self.wait,
                uploads=True,
            )

    def tag(self, name: str, commit: str, message: str) -> None:
        """Put an annotated tag on a commit, and see that it is there. Raises `PublishError` if it is on another one."""
        what = f"Cannot tag {self.repo_id} with {name}"
        persistently(lambda: self._tag(name, commit, message), what, wait=self.wait, uploads=True)
        for pause in (*_PAUSES_FOR_A_TAG, None):
            target = persistently(lambda: self._target(name), what, wait=self.wait, uploads=True)
            if target == commit:
                return
            if pause is not None:
                (self.wait or time.sleep)(pause)
        where = "is not there" if target is None else f"is on commit {target[:7]}"
        raise PublishError(
            f"{self.repo_id}: the Hub accepted the tag {name}, but it {where}; your labels are on {self.branch} as commit "
            f"{commit[:7]}. Run the same command again."
        )

    def _target(self, tag: str) -> str | None:
        """The commit that a tag is on, None if there is no such tag."""
        try:
            return self.api.repo_info(self.repo_id, repo_type="dataset", revision=tag).sha
        except RevisionNotFoundError:
            return None

    def _tag(self, name: str, commit: str, message: str) -> None:
        try:
            self.api.create_tag(self.repo_id, tag=name, tag_message=message, revision=commit, repo_type="dataset")
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
            target = self._target(name)
            if target is None:
                raise  # 409 for another reason: worth trying again
            if target != commit:
                raise PublishError(
                    f"{self.repo_id}: somebody else made the tag {name} meanwhile; your labels are on "
                    f"{self.branch} as commit {commit[:7]}. Push again with another --tag."
                ) from error


def plan_commit(release: Release, repo_id: str, state: RepositoryState, *, make_default: bool = False) -> Plan:
    """Additions, removals and the tag's message of a release on top of `state`. Sends nothing.

    Parquet files of the recipe that the release does not have are removed: the patterns of the configuration would find
    them. Raises `PublishError` if the card that is there cannot be read.
    """
    card_path = f"{release.recipe}/README.md"
    ours = {file.path for file in release.files}
    stale = tuple(
        path
        for path in state.paths
        if path.startswith(f"{release.recipe}/") and path.endswith(".parquet") and path not in ours
    )
    readme = repository_card(
        release, repo_id, state.readme, paths={*state.paths, *ours, card_path}, make_default=make_default
    )
    cards = (
        ReleaseFile.from_content(card_path, recipe_body(release, repo_id, preview="preview.png").encode()),
        ReleaseFile.from_content("README.md", readme.encode()),
    )
    return Plan((*release.files, *cards), stale, _tag_message(release, readme))


def _tag_message(release: Release, readme: str) -> str:
    """``sha256:IDENTITY RECIPE``, ours first, a line for each recipe whose entry states a digest."""
    lines = [f"sha256:{release.identity} {release.recipe}"]
    for entry in split_card(readme)[0]["configs"]:
        digest = re.match(r"sha256:[0-9a-f]+", digests_in(entry.get("description")))
        if digest and entry["config_name"] != release.recipe:
            lines.append(f"{digest.group()} {entry['config_name']}")
    return "\n".join(lines)


def check_target(
    repository: DatasetRepository, state: RepositoryState, tag: str, *, private: bool = False, public: bool = False
) -> None:
    """Raises `PublishError` if the tag is taken or no name for one, or if the repository is there and not as asked for."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*", tag) or tag.endswith((".", ".lock")):
        raise PublishError(f"{tag!r} cannot name a release; use a tag like v1.0.0.")
    if tag in state.branches or tag == repository.branch:
        raise PublishError(f"{repository.repo_id} has a branch called {tag}; use a tag like v1.0.0.")
    if tag in state.tags:
        raise PublishError(
            f"{repository.repo_id} already has a release {tag} (commit {state.tags[tag][:7]}), and a release never "
            f"changes; choose another tag, e.g. --tag {_next_free(tag, state.tags)}."
        )
    if private and state.exists and not state.private:
        raise PublishError(f"{repository.repo_id} exists and is public; make it private in its settings on the Hub "
                           "first, or leave out --private.")  # fmt: skip
    if public and state.private:
        raise PublishError(f"{repository.repo_id} exists and is private; make it public in its settings on the Hub, or "
                           "leave out --public.")  # fmt: skip


def _next_free(tag: str, taken: Mapping[str, str]) -> str:
    """
    >>> _next_free("v1.0.9", {"v1.0.9": "", "v1.0.10": ""}), _next_free("final", {"final": ""})
    ('v1.0.11', 'final-2')
    """
    match = re.fullmatch(r"(.*?)(\d+)", tag)
    stem, number = (match.group(1), int(match.group(2))) if match else (f"{tag}-", 1)
    while f"{stem}{number}" in taken or f"{stem}{number}" == tag or number == 1 and not match:
        number += 1
    return f"{stem}{number}"
