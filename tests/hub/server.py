"""A Hub on loopback, in memory, for tests: what pushing, tagging and loading needs, gates, and faults on request.

Only the standard library. It speaks the endpoints that `huggingface_hub` and `datasets` use without Xet
(``HF_HUB_DISABLE_XET=1``): repositories, preupload, LFS batch and upload, commits, tags, branches, trees and files.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.hub.repository import Refused, Repository, entry


LARGE_SUFFIXES = (".parquet", ".png")


@dataclass
class Fault:
    """What to do to the next `times` requests whose method and path match.

    `kind` is a status to answer with, "cut" (hang up before doing anything) or "cut after" (do it, then hang up).
    """

    method: str
    path: str
    kind: int | str
    times: int = 1
    message: str = "injected"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: object, status: int = 200) -> Reply:
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: object
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


class Hub:
    """The server. `requests` lists (method, path, status) of all that was asked; `faults` are consumed in order.

    `granted` names the gated repositories whose terms have been accepted.
    """

    def __init__(self, tokens: dict[str, tuple[str, ...]]) -> None:
        """`tokens` maps each valid token to the owners it may write for."""
        self.tokens = tokens
        self.repositories: dict[str, Repository] = {}
        self.granted: set[str] = set()
        self.large_files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int | str]] = []
        self.faults: list[Fault] = []
        self.before_commit: list = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def changing_requests(self) -> list[tuple[str, str, int | str]]:
        """Requests that could have changed something."""
        return [request for request in self.requests if request[0] not in ("GET", "HEAD")]

    def uploads(self) -> list[str]:
        """Checksums of the large files that arrived, in order."""
        return [path.rsplit("/", 1)[1] for method, path, status in self.requests if method == "PUT" and status == 200]

    def fault_for(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def answer(self, request: Request) -> Reply:
        """Route a request; refusals become the Hub's error answers."""
        try:
            with self._lock:
                for method, pattern, action, public in _ROUTES:
                    match = re.fullmatch(pattern, request.path)
                    if match and method == request.method:
                        self._check_credentials(request)
                        if not public:
                            self._check_token(request, match.groupdict())
                        return action(self, request, **{k: unquote(v) for k, v in match.groupdict().items() if v})
            raise Refused(404, f"no route for {request.method} {request.path}")
        except Refused as refused:
            reply = Reply.of({"error": refused.message}, refused.status)
            reply.headers["X-Error-Message"] = refused.message
            if refused.code:
                reply.headers["X-Error-Code"] = refused.code
            return reply

    def _owners(self, request: Request) -> tuple[str, ...] | None:
        header = request.headers.get("Authorization", "")
        return self.tokens.get(header.removeprefix("Bearer ")) if header else None

    def _check_credentials(self, request: Request) -> None:
        """A token that is unknown or has expired is refused even where none is needed."""
        if request.headers.get("Authorization") and self._owners(request) is None:
            raise Refused(401, "Invalid credentials in Authorization header")

    def _check_token(self, request: Request, parts: dict[str, str]) -> None:
        owners = self._owners(request)
        if owners is None:
            raise Refused(401, "Invalid username or password.")
        if parts.get("repo") and parts["repo"].split("/")[0] not in owners:
            raise Refused(403, f"You don't have the rights to write to {parts['repo']}")

    def repository(self, request: Request, repo: str) -> Repository:
        found = self.repositories.get(repo)
        if found is None or (found.private and repo.split("/")[0] not in (self._owners(request) or ())):
            raise Refused(404 if self._owners(request) else 401, "Repository not found", "RepoNotFound")
        return found


def _create(hub: Hub, request: Request) -> Reply:
    asked = request.json()
    repo = f"{asked['organization']}/{asked['name']}"
    if asked["organization"] not in (hub._owners(request) or ()):
        raise Refused(403, f"You don't have the rights to create a repository under {asked['organization']}")
    if repo in hub.repositories:
        return Reply.of({"error": "You already created this repo", "url": f"{hub.url}/datasets/{repo}"}, 409)
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    hub.repositories[repo] = Repository(private=private)
    return Reply.of({"url": f"{hub.url}/datasets/{repo}", "name": repo})


def _validate_yaml(hub: Hub, request: Request) -> Reply:
    match = re.match(r"---\n(.*?)\n---", request.json()["content"], re.DOTALL)
    try:
        assert match is None or isinstance(yaml.safe_load(match.group(1)), dict)
    except (yaml.YAMLError, AssertionError) as error:
        return Reply.of({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return Reply.of({"errors": [], "warnings": []})


def _info(hub: Hub, request: Request, repo: str, revision: str = "main") -> Reply:
    found = hub.repository(request, repo)
    commit = found.at(revision)
    return Reply.of({"_id": "0", "id": repo, "author": repo.split("/")[0], "sha": commit.oid, "private": found.private,
                     "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                     "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
                     "siblings": [{"rfilename": path} for path in commit.files]})  # fmt: skip


def _refs(hub: Hub, request: Request, repo: str) -> Reply:
    found = hub.repository(request, repo)
    heads = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in found.branches.items()]
    tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, (oid, _) in found.tags.items()]
    return Reply.of({"branches": heads, "tags": tags, "converts": []})


def _tree(hub: Hub, request: Request, repo: str, revision: str, folder: str = "") -> Reply:
    recursive = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    return Reply.of(hub.repository(request, repo).tree(revision, folder.strip("/"), recursive))


def _paths_info(hub: Hub, request: Request, repo: str, revision: str) -> Reply:
    files = hub.repository(request, repo).at(revision).files
    return Reply.of([entry(p, files[p]) for p in parse_qs(request.body.decode()).get("paths", []) if p in files])


def _preupload(hub: Hub, request: Request, repo: str, revision: str) -> Reply:
    files = hub.repository(request, repo).at(revision).files
    answers = []
    for asked in request.json()["files"]:
        known = files.get(asked["path"])
        mode = "lfs" if asked["path"].endswith(LARGE_SUFFIXES) else "regular"
        answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False,
                        "oid": known.oid if known else None})  # fmt: skip
    return Reply.of({"files": answers})


def _batch(hub: Hub, request: Request, repo: str) -> Reply:
    hub.repository(request, repo)
    objects = []
    for asked in request.json()["objects"]:
        described = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in hub.large_files:
            described["actions"] = {"upload": {"href": f"{hub.url}/large/{asked['oid']}?X-Amz-Signature=s3cr3t"}}
        objects.append(described)
    return Reply.of({"transfer": "basic", "objects": objects})


def _put_large(hub: Hub, request: Request, oid: str) -> Reply:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refused(400, "content does not match its checksum")
    hub.large_files[oid] = request.body
    return Reply()


def _commit(hub: Hub, request: Request, repo: str, revision: str) -> Reply:
    found = hub.repository(request, repo)
    while hub.before_commit:
        hub.before_commit.pop(0)(found)
    lines = [json.loads(line) for line in request.body.splitlines() if line]
    added = found.commit(revision, lines, hub.large_files)
    return Reply.of({"success": True, "commitOid": added.oid, "hookOutput": "",
                     "commitUrl": f"{hub.url}/datasets/{repo}/commit/{added.oid}"})  # fmt: skip


def _tag(hub: Hub, request: Request, repo: str, revision: str) -> Reply:
    asked = request.json()
    hub.repository(request, repo).tag(asked["tag"], revision, asked.get("message"))
    return Reply.of({})


def _branch(hub: Hub, request: Request, repo: str, revision: str) -> Reply:
    start = request.json().get("startingPoint", "main") if request.body else "main"
    hub.repository(request, repo).branch(revision, start)
    return Reply.of({})


def _resolve(hub: Hub, request: Request, repo: str, revision: str, path: str) -> Reply:
    found = hub.repository(request, repo)
    if found.gated and repo not in hub.granted:  # the page and the list of files stay public
        raise Refused(403 if hub._owners(request) else 401, f"Access to {repo} is restricted.", "GatedRepo")
    commit = found.at(revision)
    if path not in commit.files:
        refused = Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
        raise refused
    blob = commit.files[path]
    headers = {"ETag": f'"{blob.oid}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if blob.large:
        headers |= {"X-Linked-ETag": f'"{blob.oid}"', "X-Linked-Size": str(len(blob.content))}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not asked:
        return Reply(200, blob.content, headers)
    first, last = int(asked.group(1)), min(int(asked.group(2) or len(blob.content)), len(blob.content) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(blob.content)}"
    return Reply(206, blob.content[first : last + 1], headers)


_REPO, _REV = r"(?P<repo>[^/]+/[^/]+)", r"(?P<revision>[^/]+)"
_API = rf"/api/(?:datasets|models)/{_REPO}"
_RESOLVE = rf"(?:/datasets)?/{_REPO}/resolve/{_REV}/(?P<path>.+)"
_ROUTES = (
    ("POST", "/api/repos/create", _create, False),
    ("POST", "/api/validate-yaml", _validate_yaml, True),
    ("GET", _API, _info, True),
    ("GET", rf"{_API}/revision/{_REV}", _info, True),
    ("GET", rf"{_API}/refs", _refs, True),
    (
        "GET",
        rf"{_API}/tree/{_REV}(?P<folder>/.*)?",
        lambda h, r, folder="", **k: _tree(h, r, folder=folder, **k),
        True,
    ),
    ("POST", rf"{_API}/paths-info/{_REV}", _paths_info, True),
    ("POST", rf"{_API}/preupload/{_REV}", _preupload, False),
    ("POST", rf"{_API}/commit/{_REV}", _commit, False),
    ("POST", rf"{_API}/tag/{_REV}", _tag, False),
    ("POST", rf"{_API}/branch/{_REV}", _branch, False),
    ("POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", _batch, False),
    ("PUT", r"/large/(?P<oid>[0-9a-f]{64})", _put_large, True),
    ("GET", _RESOLVE, _resolve, True),
    ("HEAD", _RESOLVE, _resolve, True),
)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            address = urlsplit(self.path)
            fault = hub.fault_for(self.command, address.path)
            if fault and fault.kind == "cut":
                return self._hang_up(address.path)
            request = Request(self.command, address.path, parse_qs(address.query), self.headers, self._body())
            if fault and isinstance(fault.kind, int):
                reply = Reply.of({"error": fault.message}, fault.kind)
            else:
                reply = hub.answer(request)
            if fault and fault.kind == "cut after":
                return self._hang_up(address.path)
            hub.requests.append((self.command, address.path, reply.status))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

        def _hang_up(self, path: str) -> None:
            hub.requests.append((self.command, path, "cut"))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    return Handler
