"""The process that pushes to the Hub of `server` and loads from it, and what it should find there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import yaml

from tests.hub.repository import Repository
from tests.hub.server import Hub


TOKEN = "hf_" + "s3cretS3cret" * 2


class Client:
    """The process that pushes and loads."""

    def __init__(self, hub: Hub, home: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
                        "HF_HUB_DISABLE_XET": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
                        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}  # fmt: skip
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.worker"], env=environment, text=True, cwd=home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(home / "stderr.txt").open("w"),
        )  # fmt: skip

    def ask(self, action: str, **request: object) -> dict:
        print(json.dumps({"do": action, **request}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        self.said += line
        answer = json.loads(line)
        assert "crash" not in answer, answer["crash"]
        return answer

    def push(self, built, repo: str, tag: str, *options: str) -> dict:
        return self.ask("mbps", arguments=["push", str(built.root), repo, "--tag", tag, *options])

    def load(self, *arguments: str, **options: str) -> dict:
        return self.ask("load", arguments=list(arguments), **options)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=1500)


def labels(built, split: str = "train") -> list[dict]:
    """Digests of the label bytes of a set on disk, as the worker reports those of a loaded one."""
    rows = []
    for path in built.files(split):
        for row in parquet.read_table(path).to_pylist():
            pictures = {name: hashlib.sha256(value["bytes"]).hexdigest() for name, value in row.items()
                        if isinstance(value, dict) and name != "image"}  # fmt: skip
            rows.append({"image_id": row["image_id"], "pictures": pictures, "segments": row["segments_info"]})
    return rows


def card_of(repository: Repository, revision: str = "main") -> tuple[dict, str]:
    text = repository.at(revision).files["README.md"].content.decode()
    _, metadata, body = text.split("---\n", 2)
    return yaml.safe_load(metadata), body


def entries(repository: Repository, revision: str = "main") -> dict[str, dict]:
    return {entry["config_name"]: entry for entry in card_of(repository, revision)[0]["configs"]}
