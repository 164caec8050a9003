"""A process of its own that talks to the Hub of a test: `huggingface_hub` reads its settings once, at import.

Reads one JSON request a line from standard input and answers with one JSON line: ``{"do": NAME, ...}``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import time
import traceback

import numpy as np


def mbps(arguments: list[str], token: str | None = None) -> dict:
    """Run the command line; everything it prints and logs comes back, and how long it would have slept.

    `token` takes the place of the process's own; "" is none.
    """
    from mbps_dataset.cli import main

    out, err, log, waits = io.StringIO(), io.StringIO(), io.StringIO(), []
    recorder = logging.StreamHandler(log)
    loggers = [logging.getLogger(name) for name in (None, "huggingface_hub", "datasets")]
    for logger in loggers:
        logger.addHandler(recorder)
    logging.getLogger().setLevel(logging.DEBUG)
    real_sleep, time.sleep = time.sleep, waits.append
    own_token = os.environ["HF_TOKEN"]
    os.environ["HF_TOKEN"] = own_token if token is None else token
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    finally:
        time.sleep, os.environ["HF_TOKEN"] = real_sleep, own_token
        for logger in loggers:
            logger.removeHandler(recorder)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue(), "log": log.getvalue(), "waits": waits}


def _columns(dataset) -> list[dict]:  # noqa: ANN001 - datasets.Dataset
    import datasets

    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(name, datasets.Image(decode=False))
    rows = []
    for row in dataset:
        pictures = {
            name: hashlib.sha256(value["bytes"]).hexdigest()
            for name, value in row.items()
            if isinstance(value, dict) and value.get("bytes")
        }
        rows.append({"image_id": row["image_id"], "pictures": pictures, "segments": row["segments_info"]})
    return rows


def load(arguments: list[str], revision: str | None = None, split: str = "train") -> dict:
    """What ``load_dataset(*arguments, revision=…, split=…)`` gives: digests of every map's bytes, and the features."""
    import datasets

    loaded = datasets.load_dataset(*arguments, revision=revision, split=split)
    names = loaded.features["segments_info"].feature["category_id"].names
    return {"rows": _columns(loaded), "columns": loaded.column_names, "class_names": names,
            "config": loaded.info.config_name, "version": str(loaded.info.version)}  # fmt: skip


def attach(arguments: list[str], data_dir: str, revision: str | None = None) -> dict:
    """`attach_images` on what was loaded: digest of each decoded photo and of the label bytes."""
    import datasets

    import mbps_dataset

    loaded = datasets.load_dataset(*arguments, revision=revision, split="train")
    joined = mbps_dataset.attach_images(loaded, data_dir)
    photos = [hashlib.sha256(np.array(row["image"]).tobytes()).hexdigest() for row in joined]
    decoded = mbps_dataset.decode(joined[0])
    return {"photos": photos, "rows": _columns(joined.remove_columns("image")), "columns": joined.column_names,
            "areas": [int((decoded.panoptic == segment["id"]).sum()) == segment["area"]
                      for segment in decoded.segments]}  # fmt: skip


def serve() -> None:
    """Answer requests until standard input ends."""
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        action = {"mbps": mbps, "load": load, "attach": attach}[request.pop("do")]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = action(**request)
        except Exception:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
