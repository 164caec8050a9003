"""Releases on a Hub: a real server on loopback, real pushes, and `load_dataset` of what was released."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as parquet
import pytest
import yaml
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.records import features
from mbps_dataset.taxonomy import NAMES_19
from tests.hub.client import TOKEN, Client, card_of, entries, labels
from tests.hub.label_sets import SPLITS, make_label_set, photo
from tests.hub.repository import Blob, Repository
from tests.hub.server import Fault, Hub


@pytest.fixture(scope="module")
def hub():
    server = Hub({TOKEN: ("org", "me")})
    yield server
    server.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(hub, home):
    process = Client(hub, home)
    yield process
    process.close()


@pytest.fixture(autouse=True)
def fresh_records(hub):
    hub.requests.clear()
    hub.faults.clear()
    yield
    assert all(fault.times <= 0 for fault in hub.faults), "a fault was never met"


@pytest.fixture(scope="module")
def released(hub, client, tmp_path_factory):
    """A set released as v1.0.0 of org/mbps-pseudo, with the output of the push."""
    built = make_label_set(tmp_path_factory.mktemp("first") / "set")
    quality = {"images": 1, "classes": 19, "splits": ["validation"], "skipped": [], "convention": "coco", "matching": "hungarian",
               "pq": 0.2345, "sq": 0.7, "rq": 0.3, "pq_things": None, "sq_things": float("nan"), "rq_things": 0.0,
               "pq_stuff": 0.25, "sq_stuff": 0.71, "rq_stuff": 0.31, "miou": 0.4, "accuracy": 0.85}  # fmt: skip
    (built.root / "quality.json").write_text(json.dumps(quality))
    return built, client.push(built, "org/mbps-pseudo", "v1.0.0")


def test_a_dry_run_lists_all_that_a_push_sends_and_sends_nothing(hub, client, tmp_path):
    built = make_label_set(tmp_path / "set")
    told = client.push(built, "org/dry", "v1.0.0", "--dry-run")
    assert told["status"] == 0 and "org/dry" not in hub.repositories and hub.changing_requests() == []
    assert not list(built.root.glob(".release-*"))
    listed = {line.split()[3]: " ".join(line.split()[1:3]) for line in told["out"].splitlines() if "  send " in line}
    assert client.push(built, "org/dry", "v1.0.0")["status"] == 0
    files = hub.repositories["org/dry"].at("v1.0.0").files
    assert set(listed) == set(files)
    assert f"run: mbps eval {built.root} --json {built.root / 'quality.json'}" in told["err"]
    size = len(files["mbps/train-00000-of-00002.parquet"].content)
    assert listed["mbps/train-00000-of-00002.parquet"] == f"{size / 1000:.1f} kB"


def test_a_release_is_one_commit_and_an_annotated_tag_with_the_digest(hub, released):
    built, told = released
    repository = hub.repositories["org/mbps-pseudo"]
    assert told["status"] == 0 and "labels only" in told["out"], told["err"]
    assert [commit.message for commit in repository.commits.values()] == ["initial commit", "Release v1.0.0 of mbps"]
    commit, message = repository.tags["v1.0.0"]
    assert commit == repository.branches["main"] and message == f"sha256:{built.document['identity']} mbps"
    assert set(repository.at("main").files) == {
        "README.md", "mbps/README.md", "mbps/labelset.json", "mbps/preview.png",
        "mbps/train-00000-of-00002.parquet", "mbps/train-00001-of-00002.parquet",
        "mbps/validation-00000-of-00001.parquet",
    }  # fmt: skip


def test_labels_arrive_byte_for_byte_and_photos_stay(hub, client, released):
    built, _ = released
    for split in SPLITS:
        loaded = client.load("org/mbps-pseudo", revision="v1.0.0", split=split)
        assert loaded["rows"] == labels(built, split) and len(loaded["rows"]) == SPLITS[split]
    assert loaded["columns"] == list(features(NAMES_19, with_image=False, with_preview=True))
    assert loaded["class_names"] == list(NAMES_19)
    assert (loaded["config"], loaded["version"]) == ("mbps", "1.0.0")
    photos = [(built.root.parent / "photos" / f"train_{k}.png").read_bytes() for k in range(3)]
    for path, blob in hub.repositories["org/mbps-pseudo"].at("main").files.items():
        assert not [p for p in photos if p[40:140] in blob.content], path
        if path.endswith(".parquet"):
            schema = parquet.read_schema(io.BytesIO(blob.content))
            assert datasets.Features.from_arrow_schema(schema) == features(
                NAMES_19, with_image=False, with_preview=True
            )
            assert b'"image"' not in schema.metadata[b"huggingface"]


def test_the_preview_is_in_colour_and_holds_no_pixel_of_a_photo(hub, released):
    files = hub.repositories["org/mbps-pseudo"].at("main").files
    picture = Image.open(io.BytesIO(files["mbps/preview.png"].content))
    colours = {colour for _, colour in picture.getcolors(maxcolors=1 << 24)}
    assert {(128, 64, 128), (70, 130, 180), (0, 0, 142)} <= colours
    assert pixels_like_a_photo(picture) == 0


def pixels_like_a_photo(picture: Image.Image) -> int:
    """Pixels in the range of colours that only the photos of `make_label_set` have."""
    red, *others = np.moveaxis(np.array(picture).astype(int), -1, 0)
    return int(((red >= 200) & (np.abs(np.array(others) - 165) <= 15).all(axis=0)).sum())


def test_the_card_tells_where_the_labels_come_from(hub, released):
    built, _ = released
    metadata, body = card_of(hub.repositories["org/mbps-pseudo"])
    entry = metadata["configs"][0]
    identity = built.document["identity"]
    assert entry["default"] is True and entry["version"] == "1.0.0" and f"sha256:{identity}" in entry["description"]
    assert metadata["license"] == "other"
    assert identity in body and "ImageNet labels" in body and "names of the pseudo-classes" in body
    assert "convention `coco`, matching `hungarian`" in body and "| all | 23.45 | 70.00 | 30.00 |" in body
    assert "| things | – | – | 0.00 |" in body
    assert "](mbps/preview.png)" in body and "attach_images" in body and "| `image` |" not in body
    assert 'load_dataset("org/mbps-pseudo", "mbps", revision="v1.0.0")' in body and "PATH_OR_HUB_ID" not in body


def test_provenance_has_checksums_and_no_path_of_this_machine(hub, released):
    built, _ = released
    files = hub.repositories["org/mbps-pseudo"].at("main").files
    document = json.loads(files["mbps/labelset.json"].content)
    for name, noted in document["release"]["files"].items():
        assert hashlib.sha256(files[f"mbps/{name}"].content).hexdigest() == noted["sha256"]
    assert document["source"]["data_dir"] == "<data_dir>"
    assert document["failures"][0]["reason"] == "<data_dir>/x.png: truncated"
    assert document["digests"] == built.document["digests"] and document["release"]["images"] is False
    assert not [path for path, blob in files.items() if str(built.root.parent).encode() in blob.content]


def test_an_existing_tag_is_refused_before_anything_is_sent(hub, client, released):
    told = client.push(released[0], "org/mbps-pseudo", "v1.0.0")
    assert told["status"] == 1 and hub.changing_requests() == []
    assert "already has a release v1.0.0" in told["err"] and "--tag v1.0.1" in told["err"]
    assert told["err"].count("\n") == 1


def test_images_join_the_labels_that_were_loaded(client, released):
    joined = client.ask("attach", arguments=["org/mbps-pseudo"], revision="v1.0.0",
                        data_dir=str(released[0].root.parent / "photos"))  # fmt: skip
    assert joined["photos"] == [hashlib.sha256(photo("train", k).tobytes()).hexdigest() for k in range(3)]
    assert joined["rows"] == labels(released[0]) and all(joined["areas"])
    assert joined["columns"] == list(features(NAMES_19, with_preview=True))


def test_a_release_is_exported_from_the_hub_as_from_the_folder(hub, client, released, tmp_path):
    built = released[0]
    for source, name in (("org/mbps-pseudo", "hub"), (str(built.root), "local")):
        revision = ["--revision", "v1.0.0"] if name == "hub" else []
        told = client.ask(
            "mbps", arguments=["export", source, str(tmp_path / name), "--format", "maskformer", *revision]
        )
        assert told["status"] == 0 and "4 images exported as maskformer" in told["out"], told["err"]
    assert hub.changing_requests() == []
    exported = [{path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
                for name in ("hub", "local")]  # fmt: skip
    notes = [json.loads(files.pop(Path("mbps_export.json"))) for files in exported]
    assert notes[0]["origin"]["labelset"].pop("release")  # where it came from; the folder itself is no release
    assert notes[0] == notes[1] and exported[0] == exported[1] and len(exported[0]) >= 10
    for arguments, message in (
        (["org/mbps-pseudo", "--revision", "v7"], "the Hub finds no such repository or revision (404"),
        (["org/mbps-pseudo", "--recipe", "mbps-k80"], "holds the recipes mbps; choose one of them with --recipe"),
        (["org/nothing"], "Cannot read org/nothing: the Hub"),
        ([str(built.root), "--revision", "v1.0.0"], "is a folder, which has no revision 'v1.0.0'"),
    ):
        told = client.ask("mbps", arguments=["export", *arguments, str(tmp_path / "x"), "--format", "cups"])
        assert told["status"] == 1 and message in told["err"] and told["err"].count("\n") == 1, told["err"]


def test_a_new_release_leaves_the_old_one_as_it_was(hub, client, tmp_path):
    old, new = make_label_set(tmp_path / "a/set"), make_label_set(tmp_path / "b/set", seed=1, rows_per_shard=3)
    assert client.push(old, "me/versions", "v1.0.0")["status"] == 0
    before = hub.repositories["me/versions"].at("v1.0.0").files
    assert client.push(new, "me/versions", "v1.1.0")["status"] == 0
    assert client.load("me/versions", revision="v1.0.0")["rows"] == labels(old) != labels(new)
    latest = client.load("me/versions")
    assert latest["rows"] == labels(new) and latest["version"] == "1.1.0"
    repository = hub.repositories["me/versions"]
    assert repository.at("v1.0.0").files == before
    parquets = [path for path in repository.at("main").files if path.endswith(".parquet")]
    assert parquets == ["mbps/validation-00000-of-00001.parquet", "mbps/train-00000-of-00001.parquet"]
    assert entries(repository, "v1.0.0")["mbps"]["description"] != entries(repository)["mbps"]["description"]


def test_recipes_live_together_and_keep_entry_and_default(hub, client, tmp_path):
    first, second = make_label_set(tmp_path / "a/set"), make_label_set(tmp_path / "b/set", recipe="mbps-k80", seed=2)
    assert client.push(first, "me/two", "v1.0.0")["status"] == 0
    repository = hub.repositories["me/two"]
    _edit_card(repository, "pretty_name: Ours\nlanguage: [en]\n")
    assert client.push(second, "me/two", "v1.1.0")["status"] == 0
    both = entries(repository)
    assert both["mbps"] == entries(repository, "v1.0.0")["mbps"] and both["mbps"]["default"] is True
    assert "default" not in both["mbps-k80"] and both["mbps-k80"]["version"] == "1.1.0"
    metadata, body = card_of(repository)
    assert metadata["pretty_name"] == "Ours" and metadata["language"] == ["en"]
    assert "recipe `mbps`" in body and "[card](mbps-k80/README.md)" in body
    message = repository.tags["v1.1.0"][1].splitlines()
    assert message == [f"sha256:{second.document['identity']} mbps-k80", f"sha256:{first.document['identity']} mbps"]
    assert client.load("me/two", revision="v1.1.0")["rows"] == labels(first)
    assert client.load("me/two", "mbps-k80", revision="v1.1.0")["rows"] == labels(second)

    assert client.push(first, "me/two", "v1.2.0")["status"] == 0
    again = entries(repository)
    assert again["mbps-k80"] == both["mbps-k80"] and again["mbps"]["default"] is True
    assert list(again) == ["mbps", "mbps-k80"] and again["mbps"]["version"] == "1.2.0"
    assert card_of(repository)[1].count("## Recipes of this repository") == 1
    assert card_of(repository)[0]["language"] == ["en"]

    assert client.push(second, "me/two", "v1.3.0", "--default")["status"] == 0
    assert [name for name, entry in entries(repository).items() if entry.get("default")] == ["mbps-k80"]
    assert "recipe `mbps-k80`" in card_of(repository)[1]


def _edit_card(repository: Repository, lines: str) -> None:
    """What a person does on the website: other metadata in a new commit."""
    head = repository.at("main")
    metadata, body = card_of(repository)
    text = f"---\n{yaml.safe_dump({**metadata, **yaml.safe_load(lines)})}---\n{body}"
    files = {**head.files, "README.md": Blob(text.encode(), large=False)}
    repository.branches["main"] = repository._add(head.oid, "edit", files).oid


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([("POST", "/commit/", 500), ("POST", "/commit/", 409), ("POST", "/commit/", 412)], id="commit"),
        pytest.param([("POST", "/preupload/", 500), ("POST", "/batch", 409), ("PUT", "/large/", "cut")], id="upload"),
        pytest.param([("GET", "/refs", "cut"), ("POST", "/repos/create", "cut after"), ("POST", "/commit/", "cut after"),
                      ("POST", "/tag/", "cut after")], id="lost answers"),
        pytest.param([("POST", "/validate-yaml", 500), ("HEAD", "/resolve/", 500), ("POST", "/tag/", 409)], id="rest"),
    ],
)  # fmt: skip
def test_faults_lose_nothing(hub, client, tmp_path, faults, request):
    built = make_label_set(tmp_path / "set", seed=10 + len(hub.repositories))
    repo = f"me/faults-{request.node.callspec.id.replace(' ', '-')}"
    if any(path == "/resolve/" for _, path, _ in faults):
        hub.repositories[repo] = Repository()
        _put_readme(hub.repositories[repo], "---\nlanguage: [en]\n---\n")
    hub.faults += [Fault(*fault) for fault in faults]
    told = client.push(built, repo, "v1.0.0")
    assert told["status"] == 0, told["err"]
    assert client.load(repo, revision="v1.0.0")["rows"] == labels(built)
    repository = hub.repositories[repo]
    assert [commit.message for commit in repository.commits.values()].count("Release v1.0.0 of mbps") == 1
    assert repository.tags == {"v1.0.0": (repository.branches["main"], f"sha256:{built.document['identity']} mbps")}
    assert len(hub.uploads()) == len(set(hub.uploads())) == 4
    assert told["waits"]  # the fixture checks that every fault was met


def _put_readme(repository: Repository, text: str) -> None:
    head = repository.at("main")
    repository.branches["main"] = repository._add(head.oid, "readme", {"README.md": Blob(text.encode(), False)}).oid


def test_a_commit_that_comes_in_between_is_built_upon(hub, client, tmp_path):
    first, second = make_label_set(tmp_path / "a/set"), make_label_set(tmp_path / "b/set", recipe="mbps-k80", seed=3)
    assert client.push(first, "me/race", "v1.0.0")["status"] == 0
    hub.before_commit.append(lambda repository: _edit_card(repository, "pretty_name: Theirs\n"))
    told = client.push(second, "me/race", "v1.1.0")
    assert told["status"] == 0 and "412" in told["log"] and told["waits"] == [1]
    repository = hub.repositories["me/race"]
    assert card_of(repository)[0]["pretty_name"] == "Theirs" and set(entries(repository)) == {"mbps", "mbps-k80"}
    hub.before_commit.append(lambda repository: repository.tag("v1.2.0", "main", None))
    told = client.push(second, "me/race", "v1.2.0")
    assert told["status"] == 1 and "somebody else made the tag v1.2.0 meanwhile" in told["err"]


def test_what_keeps_failing_is_said_and_the_same_command_goes_on(hub, client, tmp_path):
    built = make_label_set(tmp_path / "set", seed=4)
    hub.faults.append(Fault("POST", "/commit/", 503, times=6))
    told = client.push(built, "me/resume", "v1.0.0")
    assert told["status"] == 1 and told["waits"] == [1, 2, 4, 8, 16]
    assert told["err"].splitlines()[-1].startswith("mbps push: Cannot push to me/resume: the Hub answered 503")
    assert "the same command again" in told["err"]
    sent = hub.uploads()
    assert len(sent) == 4 and hub.repositories["me/resume"].tags == {}
    assert client.push(built, "me/resume", "v1.0.0")["status"] == 0
    assert hub.uploads() == sent
    assert client.load("me/resume", revision="v1.0.0")["rows"] == labels(built)


def test_images_go_only_where_their_licence_allows_it(hub, client, tmp_path):
    ours, theirs = make_label_set(tmp_path / "a/set", source="scenes"), make_label_set(tmp_path / "b/set")
    told = client.push(theirs, "me/photos", "v1.0.0", "--with-images")
    assert told["status"] == 1 and "does not say that its images may be redistributed" in told["err"]
    without = make_label_set(tmp_path / "c/set", source="scenes", with_images=False)
    assert "built without images" in client.push(without, "me/photos", "v1.0.0", "--with-images")["err"]
    assert hub.changing_requests() == []
    told = client.push(ours, "me/photos", "v1.0.0", "--with-images", "--private", "--revision", "draft")
    assert told["status"] == 0 and hub.repositories["me/photos"].private
    assert hub.repositories["me/photos"].tags["v1.0.0"][0] == hub.repositories["me/photos"].branches["draft"]
    loaded = client.load("me/photos", revision="v1.0.0")
    sent = [row["pictures"]["image"] for row in loaded["rows"]]
    assert sent == [hashlib.sha256((tmp_path / f"a/photos/train_{k}.png").read_bytes()).hexdigest() for k in range(3)]
    assert "| `image` |" in card_of(hub.repositories["me/photos"], "draft")[1]
    preview = hub.repositories["me/photos"].at("v1.0.0").files["mbps/preview.png"].content
    assert pixels_like_a_photo(Image.open(io.BytesIO(preview))) == 3 * photo("train", 0)[..., 0].size


def test_mistakes_are_one_line(hub, client, released, tmp_path):
    built = released[0]
    assert "no quality" not in released[1]["err"]
    hub.repositories["org/mbps-public"] = Repository(private=False)
    for repo, tag, options, message in (
        ("noslash", "v1", (), "names no dataset repository"),
        ("me/x", "v1..0", (), "cannot name a release"),
        ("me/x", "main", (), "has a branch called main"),
        ("others/x", "v1", (), "Cannot create others/x: the Hub refuses (403"),
        ("org/mbps-public", "v9", ("--private",), "exists and is public"),
        ("org/mbps-pseudo", "v9", ("--public",), "exists and is private; make it public in its settings on the Hub"),
    ):
        told = client.push(built, repo, tag, *options)
        assert told["status"] == 1 and message in told["err"] and told["err"].count("\n") == 1, told["err"]
    assert set(hub.repositories["org/mbps-pseudo"].tags) == {"v1.0.0"}
    hub.faults.append(Fault("GET", "/api/", "cut", times=3))
    told = client.push(built, "me/x", "v1")
    assert "Cannot read me/x: the connection to the Hub failed" in told["err"].splitlines()[-1]
    hub.repositories["me/broken"] = Repository()
    _put_readme(hub.repositories["me/broken"], "---\nconfigs: [\n---\n")
    assert "README.md is not YAML" in client.push(built, "me/broken", "v1")["err"]
    (built.root.parent / "unfinished").mkdir()
    unfinished = make_label_set(built.root.parent / "unfinished/set")
    unfinished.files("train")[1].unlink()
    assert "has 2 rows, but labelset.json counts 3" in client.push(unfinished, "me/x", "v1")["err"]


def test_offline_is_said_in_one_line(released, capsys):
    assert main(["push", str(released[0].root), "org/mbps-pseudo", "--tag", "v2.0.0"]) == 1
    err = capsys.readouterr().err
    assert "offline mode is on; unset HF_HUB_OFFLINE" in err and err.count("\n") == 1
    assert main(["push", str(released[0].root), "org/mbps-pseudo", "--tag", "v2.0.0", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert "supposes an empty repository" in told.err and "mbps/train-00000-of-00002.parquet" in told.out


def test_the_token_is_never_shown_logged_or_written(hub, client, home, tmp_path):
    built = make_label_set(tmp_path / "set", seed=5)
    hub.faults.append(Fault("POST", "/repos/create", 403, message=f"Bearer {TOKEN} may not do this"))
    told = client.push(built, "me/token", "v1.0.0")
    assert told["status"] == 1 and "Bearer *** may not do this" in told["err"]
    hub.faults.append(Fault("POST", "/commit/", 500, message=f"cannot use {TOKEN}"))
    told = client.push(built, "me/token", "v1.0.0")
    assert told["status"] == 0 and "cannot use ***" in told["log"]
    assert told["log"].count("\n") > 20  # the log was taken, at its most talkative
    assert TOKEN not in client.said
    for folder in (home, tmp_path):
        for path in folder.rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    for repository in hub.repositories.values():
        for commit in repository.commits.values():
            assert not [path for path, blob in commit.files.items() if TOKEN.encode() in blob.content]


def test_a_new_repository_is_private_unless_it_is_asked_to_be_public(hub, client, tmp_path):
    built = make_label_set(tmp_path / "set", seed=6)
    told = client.push(built, "me/kept", "v1.0.0", "--dry-run")
    assert "me/kept (new, private), branch main" in told["out"]
    assert "(new, public)" in client.push(built, "me/shown", "v1.0.0", "--dry-run", "--public")["out"]
    told = client.push(built, "me/kept", "v1.0.0")
    assert told["status"] == 0 and hub.repositories["me/kept"].private
    assert "The new repository is private: its owners alone can load it" in told["out"]
    told = client.push(built, "me/shown", "v1.0.0", "--public")
    assert told["status"] == 0 and not hub.repositories["me/shown"].private and "private" not in told["out"]
    assert client.push(built, "me/shown", "v1.1.0")["status"] == 0  # what is there stays as it is
    assert not hub.repositories["me/shown"].private
