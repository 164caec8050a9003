"""Whatever ends a build or damages its files, the next run ends with the bytes of an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.labelset.build import build
from tests.examples import is_night
from tests.labelling.stereo_streets import tiny_motion_settings, write_street
from tests.tiny import tiny_label_set, write_depth, write_photographs


KILLS = 20 if is_night() else 8
MOTION_KILLS = 20 if is_night() else 2
DAMAGES = 24


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of everything a user of the set sees: no temporary file, and nothing that was moved aside."""
    data = [path for path in (root / "data").iterdir() if not path.name.startswith(".")]
    files = [*data, root / "labelset.json", root / "README.md", root / "recipe.json"]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def undisturbed(inputs, settings, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "set"
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    return output


@pytest.fixture(scope="module")
def command(inputs, settings) -> Callable[..., dict]:
    """Runs `mbps build` (or another command) in a child that may be killed."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.end_to_end.killed_builds"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    stdin, stdout = server.stdin, server.stdout

    def run(output: Path, *arguments: str, **request) -> dict:
        given = arguments or ("build", "--recipe", "demo", "--source", "folder", "--data-dir", str(inputs / "photos"),
                              "--output", str(output), "--workers", "1", "--device", "cpu",
                              *(part for setting in settings for part in ("--set", setting)))  # fmt: skip
        stdin.write(json.dumps({"arguments": given, "below": str(output)} | request) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    yield run
    stdin.close()
    server.wait(timeout=1500)


def test_killed_at_any_point_the_set_is_the_same(command, undisturbed, tmp_path):
    """SIGKILL before a random change of a file, or after a random time; the next `mbps build` completes the same set."""
    first = command(tmp_path / "first")
    assert first["status"] == 0 and digests(tmp_path / "first") == digests(undisturbed)
    rng = random.Random(8)
    for number in range(KILLS):
        output = tmp_path / str(number)
        if number % 2:
            answer = command(output, events=rng.randrange(1, first["changes"]))
            assert answer["killed"]
        else:
            command(output, after_s=rng.uniform(0.05, 0.95) * first["seconds"])  # which may have ended by then
        again = command(output) if number % 4 < 2 or not (output / "stages/build.json").exists() else None
        again = again or command(output, "resume", str(output), "--workers", "1")
        assert again["status"] == 0 and digests(output) == digests(undisturbed), number


@pytest.fixture(scope="module")
def motion(inputs, settings) -> Callable[[Path], list[str]]:
    """The arguments that build three moments of a street with the recipe `demo-motion`."""
    pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")
    write_street(inputs / "street")
    changed = [part for each in tiny_motion_settings(inputs / "weights") for part in ("--set", each)]
    given = ["build", "--recipe", "demo-motion", "--source", "stereo", "--data-dir", str(inputs / "street"), *changed]
    return lambda output: [*given, "--output", str(output), "--workers", "1", "--device", "cpu"]


def test_killed_while_flow_and_motion_are_found_the_set_is_the_same(command, motion, tmp_path):
    """SIGKILL before a random change of a file of these two stages, or after a random time; then `build` or `resume`."""
    wanted, rng = tmp_path / "undisturbed", random.Random(16)
    first = command(wanted, *motion(wanted))
    assert first["status"] == 0 and json.loads((wanted / "labelset.json").read_text())["motion"]["train"]["objects"]
    for number in range(MOTION_KILLS):
        output, stage = tmp_path / str(number), ("flow", "motion")[number % 2]
        if number % 5 == 4:
            command(output, *motion(output), after_s=rng.uniform(0.2, 0.95) * first["seconds"])
        else:
            at = rng.randrange(1, 7)  # a file and its renaming for each of three frames
            assert command(output, *motion(output), below=str(output / "stages" / stage), events=at)["killed"]
            assert not (output / "labelset.json").exists()
        resumes = number % 4 < 2 and (output / "stages/build.json").exists()
        again = command(output, *(("resume", str(output), "--workers", "1") if resumes else motion(output)))
        assert again["status"] == 0 and digests(output) == digests(wanted), number


def test_killed_again_and_again_it_still_gets_there(command, undisturbed, tmp_path):
    """Each run is killed after a few changes; what they leave adds up to the whole set."""
    output = tmp_path / "set"
    for _ in range(20):
        answer = command(output, events=30)
        if not answer["killed"]:
            break
    assert answer["status"] == 0 and digests(output) == digests(undisturbed)


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_number_of_images(command, inputs, settings, tmp_path):
    """Each photograph carries 3 MB that pass through to its row; all rows go into one file.

    Both counts are past the first row groups, after which the allocator keeps what it has.
    """
    peaks = []
    for count in (64, 112):
        folder = tmp_path / str(count)
        write_photographs(folder / "photos", count)
        write_depth(folder / "depth", [f"photo_{number:03d}" for number in range(count)])
        for path in (folder / "photos").iterdir():
            data = path.read_bytes()
            noise = np.random.default_rng(len(data)).bytes(3_000_000)
            chunk = len(noise).to_bytes(4, "big") + b"prVt" + noise
            path.write_bytes(data[:33] + chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big") + data[33:])
        changed = [*settings, f"depth.files={folder / 'depth'}", "output.rows_per_shard=1000"]
        answer = command(folder / "set", "build", "--source", "folder", "--data-dir", str(folder / "photos"),
                         "--output", str(folder / "set"), "--workers", "1", "--device", "cpu",
                         *(part for each in changed for part in ("--set", each)))  # fmt: skip
        assert answer["status"] == 0
        peaks.append(answer["peak_kb"] / 1000)
    assert (tmp_path / "112/set/data/train-00000-of-00001.parquet").stat().st_size > 112 * 3_000_000
    assert peaks[1] - peaks[0] < 48, peaks  # 48 more images are 144 MB more of rows


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_number_of_stereo_videos(command, motion, tmp_path):
    """Flow and disparity of a frame are 4 MB here, its scene flow is three times that: 24 more frames would be 400 MB.

    The peak is that of the frame with the largest moving part, which is among the first twenty.
    """
    peaks = []
    for count in (20, 44):
        output = tmp_path / str(count)
        scenes = ["--source-option", "validation=0", "--source-option", "height=256", "--source-option", "width=512"]
        given = motion(output)
        place = given.index("--source")
        given[place : place + 4] = ["--source", "scenes"]
        answer = command(output, *given, *scenes, "--source-option", f"train={count}")
        assert answer["status"] == 0
        peaks.append(answer["peak_kb"] / 1000)
    assert peaks[1] - peaks[0] < 40, peaks


def every_file(root: Path) -> Iterator[Path]:
    yield from (p for p in sorted(root.rglob("*")) if p.is_file() and "locks" not in p.parts)


def truncate(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 8))):
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(data))


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def become_a_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("of somebody")


def test_damaged_files_are_made_again(inputs, settings, undisturbed, tmp_path):
    """Any file of a finished build, damaged in any way, several at once: the next run mends exactly that."""
    output, rng = tmp_path / "set", random.Random(8)
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    kinds = (truncate, flip, delete, become_a_folder)
    for number in range(DAMAGES):
        victims = rng.sample(list(every_file(output)), rng.choice((1, 1, 3)))
        for path in victims:
            kinds[number % len(kinds)](path, rng)
        build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
        told = [str(path.relative_to(output)) for path in victims]
        assert digests(output) == digests(undisturbed), (kinds[number % len(kinds)].__name__, told)


def test_without_the_store_a_finished_set_stays_as_it_is(inputs, settings, undisturbed, tmp_path, monkeypatch):
    import shutil

    output = tmp_path / "set"
    shutil.copytree(undisturbed, output)
    shutil.rmtree(output / "stages")
    monkeypatch.setattr(
        "mbps_dataset.models.networks.load", lambda *_: pytest.fail("a network was loaded for nothing")
    )
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    assert digests(output) == digests(undisturbed)


@pytest.mark.nightly
def test_two_processes_on_one_folder_end_with_one_set(inputs, settings, undisturbed, tmp_path):
    """Two real `mbps build` commands at once, one of them with two workers."""
    output = tmp_path / "set"
    given = [sys.executable, "-m", "mbps_dataset", "build", "--recipe", "demo", "--source", "folder",
             "--data-dir", str(inputs / "photos"), "--output", str(output),
             *(part for setting in settings for part in ("--set", setting))]  # fmt: skip
    both = [subprocess.Popen([*given, "--workers", n], stdout=subprocess.DEVNULL) for n in ("1", "2")]
    assert [process.wait(timeout=1500) for process in both] == [0, 0]
    assert digests(output) == digests(undisturbed)


def test_threads_that_build_different_selections_do_not_harm_each_other(inputs, settings, tmp_path):
    """One takes files away that the other needs: either it is written again, or the user is told who is in the way."""
    from mbps_dataset.errors import StoreError

    outcomes: list[object] = []

    def work(limit: int | None) -> None:
        try:
            label_set = tiny_label_set(inputs, tmp_path / "stages", settings, limit=limit)
            outcomes.append(build(label_set, tmp_path, workers=1, progress=False).rows)
        except StoreError as error:
            outcomes.append(str(error))

    both = [threading.Thread(target=work, args=(limit,)) for limit in (None, 2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(outcomes) == 2
    assert all(each in (2, 6) or "another process keeps writing" in str(each) for each in outcomes)
    build(tiny_label_set(inputs, tmp_path / "stages", settings), tmp_path, workers=1, progress=False)
    assert sorted(p.name for p in (tmp_path / "data").glob("*.parquet")) == [
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
    ]  # fmt: skip


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from mbps_dataset import cli
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
def test_a_full_disk_is_one_line_and_nothing_is_lost(inputs, settings, undisturbed, tmp_path):
    """A file size limit makes writes fail half-way, as a full disk does: in the store first, then in a Parquet file."""
    given = ["build", "--recipe", "demo", "--source", "folder", "--data-dir", str(inputs / "photos"),
             "--output", str(tmp_path / "set"), "--workers", "1",
             *(part for setting in settings for part in ("--set", setting))]  # fmt: skip
    largest = max(p.stat().st_size for p in (undisturbed / "stages").rglob("*.bin"))
    for limit in (largest // 2, largest + 1000):
        done = subprocess.run([sys.executable, "-c", LIMITED, str(limit), *given], capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert re.match(
            r"mbps build: .* cannot be written \(.*File too large.*\)\. Everything written so far is kept", last
        )
        assert "Traceback" not in done.stderr
        assert not [p for p in (tmp_path / "set").rglob("*") if p.name.endswith(".tmp")]
    build(tiny_label_set(inputs, tmp_path / "set/stages", settings), tmp_path / "set", workers=1, progress=False)
    assert digests(tmp_path / "set") == digests(undisturbed)
