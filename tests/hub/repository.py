"""A dataset repository in memory: commits, branches, tags and large files, as the Hub has them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


class Refused(Exception):
    """An answer other than 200: status, sentence, and the Hub's code for it."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Blob:
    """Content of a file; `large` if it is kept outside git."""

    content: bytes
    large: bool

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def oid(self) -> str:
        """What the Hub compares uploads with."""
        return hashlib.sha256(self.content).hexdigest() if self.large else self.git_oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    message: str
    files: Mapping[str, Blob]


@dataclass
class Repository:
    """One repository; a new one holds an empty first commit on main, as on the Hub."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.branches:
            self.branches["main"] = self._add(None, "initial commit", {}).oid

    def _add(self, parent: str | None, message: str, files: Mapping[str, Blob]) -> Commit:
        listing = sorted((path, blob.oid) for path, blob in files.items())
        oid = hashlib.sha1(json.dumps([len(self.commits), parent, message, listing]).encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, message, dict(files))
        return self.commits[oid]

    def at(self, revision: str) -> Commit:
        """The commit of a branch, tag or commit id. Refuses unknown ones."""
        oid = self.branches.get(revision) or self.tags.get(revision, (revision, None))[0]
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def commit(self, branch: str, lines: list[dict], large_files: Mapping[str, bytes]) -> Commit:
        """Apply the operations of a commit request, all or none."""
        if branch not in self.branches:
            raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self.at(branch)
        header, files = lines[0]["value"], dict(head.files)
        if header.get("parentCommit") not in (None, head.oid):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), large=False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in large_files:
                    raise Refused(400, f"LFS pointer of {value['path']} points to a file that was not uploaded")
                files[value["path"]] = Blob(large_files[value["oid"]], large=True)
            elif line["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                raise Refused(400, f"unknown operation {line['key']}")
        added = self._add(head.oid, header["summary"], files)
        self.branches[branch] = added.oid
        return added

    def tag(self, name: str, revision: str, message: str | None) -> None:
        if name in self.tags:
            raise Refused(409, f"Tag reference exists already: {name}")
        self.tags[name] = (self.at(revision).oid, message)

    def branch(self, name: str, revision: str) -> None:
        if name in self.branches:
            raise Refused(409, f"Branch reference exists already: {name}")
        self.branches[name] = self.at(revision).oid

    def tree(self, revision: str, folder: str, recursive: bool) -> list[dict]:
        """Entries below a folder, as the tree endpoint lists them."""
        files = self.at(revision).files
        prefix = f"{folder}/" if folder else ""
        inside = sorted(path for path in files if path.startswith(prefix))
        if folder and not inside:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        entries: dict[str, dict] = {}
        for path in inside:
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts)):
                if recursive or depth == 1:
                    name = prefix + "/".join(parts[:depth])
                    oid = hashlib.sha1(name.encode()).hexdigest()
                    entries.setdefault(name, {"type": "directory", "path": name, "oid": oid, "size": 0})
            if recursive or len(parts) == 1:
                entries[path] = entry(path, files[path])
        return list(entries.values())


def entry(path: str, blob: Blob) -> dict:
    """A file as the tree and paths-info endpoints describe it."""
    described = {"type": "file", "path": path, "size": len(blob.content), "oid": blob.git_oid}
    if blob.large:
        described["lfs"] = {"oid": blob.oid, "size": len(blob.content), "pointerSize": 134}
    return described
