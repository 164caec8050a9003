"""What stands between a person and a network on the Hub is said in one line: on loopback, with gates and faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import hub_weights, networks
from tests.hub.client import TOKEN, Client
from tests.hub.repository import Blob, Repository
from tests.hub.server import Fault, Hub
from tests.tiny import write_photographs


GATED = "facebook/dinov3-vitb16-pretrain-lvd1689m"
PAGE = f"https://huggingface.co/{GATED}"


def repository(network: str | None, *, gated: bool = False) -> Repository:
    """A repository with the files of a shipped network, or with a checkpoint of another format."""
    files = {"depth.pth": Blob(b"x", large=True)}
    if network is not None:
        folder = networks.WEIGHTS_ROOT / network
        files = {p.name: Blob(p.read_bytes(), large=p.suffix == ".safetensors") for p in folder.iterdir()}
    made = Repository(gated=gated)
    made.branches["main"] = made._add(made.at("main").oid, "weights", files).oid
    return made


@pytest.fixture(scope="module")
def hub():
    server = Hub({TOKEN: ("me",)})
    server.repositories |= {
        GATED: repository("attention", gated=True),
        "org/open": repository("cause"),
        "org/other-format": repository(None),
        "someone/private": repository("cause"),
    }
    server.repositories["someone/private"].private = True
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(hub, tmp_path_factory):
    process = Client(hub, tmp_path_factory.mktemp("home"))
    yield process
    process.close()


def build(client: Client, *settings: str, token: str | None = None) -> str:
    """What `mbps build --recipe mbps` says when it refuses, without having asked for anything it does not name."""
    changed = [part for setting in settings for part in ("--set", setting)]
    arguments = ["build", "--recipe", "mbps", "--source", "scenes", "--output", "never", *changed]
    answer = client.ask("mbps", arguments=arguments, **({} if token is None else {"token": token}))
    assert answer["status"] == 1 and answer["out"] == "" and "Request ID" not in answer["err"]
    return answer["err"]


def of_saliency(client: Client, hub_id: str, token: str | None = None) -> str:
    """The line about one network, where the others are shipped ones."""
    others = ("semantics.weights=builtin", "depth.weights=builtin", "depth.height=256", "depth.width=512")
    said = build(client, *others, f"saliency.weights={hub_id}", token=token)
    assert said.count("\n") == 1 and said.startswith(f"mbps build: saliency.weights: {hub_id} ")
    assert "--set things.method=depth-split" in said and '"The networks" in docs/cityscapes.md' in said
    return said


def test_a_gate_names_the_page_that_opens_it(client):
    assert f"is gated: accept its terms at {PAGE}, then run `hf auth login`" in of_saliency(client, GATED, token="")
    said = of_saliency(client, GATED)
    assert f"is gated, and your token gives no access: accept its terms at {PAGE} with the account of" in said
    assert f"(403: Access to {GATED} is restricted.)" in said


def test_behind_the_gate_the_same_line_goes_on(hub, client):
    hub.granted.add(GATED)
    said = build(client, f"saliency.weights={GATED}", "depth.weights=builtin")
    hub.granted.clear()
    assert said.startswith("mbps build: semantics.weights is not set: pass --set") and GATED not in said


def test_a_mistyped_id_asks_for_what_may_be_meant(client):
    said = of_saliency(client, GATED.replace("dinov3", "dino3"))
    assert (
        f"is no folder here, and the Hub knows no such network, or it is private to another account; did you mean '{GATED}'."
        in said
    )
    assert "which needs `hf auth login`; check its spelling." in of_saliency(client, "weights/saliency", token="")
    assert "private to another account; check its spelling." in of_saliency(client, "someone/private")


def test_a_token_that_has_expired_is_told_from_a_wrong_name(client):
    said = of_saliency(client, "org/open", token="hf_expiredExpired")
    assert "was refused with your token, which is wrong or has expired (401: Invalid credentials" in said
    assert "run `hf auth login` again, or unset HF_TOKEN" in said and "hf_expired" not in said


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (503, "cannot be downloaded now (the Hub answered 503): run the same command again later"),
        (410, "was refused by the Hub (410): see https://huggingface.co/org/open"),
        (
            "cut",
            "is no folder here, and as a Hub id it has not been downloaded: the Hub cannot be reached (RemoteProtocolError); check the network",
        ),
    ],
)
def test_a_hub_that_fails_says_whether_to_try_again(hub, client, kind, words):
    hub.faults[:] = [Fault("HEAD", "org/open/resolve", kind, times=99)]
    said = of_saliency(client, "org/open")
    hub.faults.clear()
    assert words in said


def test_other_formats_are_named(client):
    assert "holds no config.json and safetensors (https://huggingface.co/org/other-format)" in of_saliency(
        client, "org/other-format"
    )


def test_all_missing_networks_are_one_message_and_nothing_is_downloaded(hub, client):
    hub.requests.clear()
    said = build(client, "semantics.weights=org/open", "depth.weights=weights/spidepth", f"saliency.weights={GATED}")
    first, *lines, last = said.splitlines()
    assert first == "mbps build: 2 networks of the recipe mbps are missing:" and len(lines) == 2
    assert lines[0].startswith("  depth.weights: weights/spidepth is no folder here")
    assert "--set depth.method=files --set depth.files=FOLDER" in lines[0] and PAGE in lines[1]
    assert last.startswith('"The networks" in docs/cityscapes.md') and "`demo` needs none" in last
    assert {(method, path.split("/")[-1]) for method, path, _ in hub.requests} == {("HEAD", "config.json")}
    said = build(client)
    assert said.startswith(
        "mbps build: 3 networks of the recipe mbps are missing:\n  semantics.weights is not set: pass"
    )


def test_what_may_be_read_is_downloaded_once(hub, client):
    hub.requests.clear()
    arguments = ["info", "--weights", "org/open"]
    assert "no sign that labels reached it" in client.ask("mbps", arguments=arguments)["out"]
    asked = len(hub.requests)
    assert asked and client.ask("mbps", arguments=arguments)["status"] == 0 and len(hub.requests) == asked
    assert {path.split("/")[-1] for method, path, _ in hub.requests if method == "GET" and "resolve" in path} == {
        "config.json",
        "model.safetensors",
    }


@pytest.mark.nightly
def test_the_recipe_open_needs_one_ungated_download_and_then_no_hub(hub, client, tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 1, "patch_size": 14}
    Dinov2Model(Dinov2Config(**sizes)).save_pretrained(tmp_path / "network")
    write_photographs(tmp_path / "photos", 3)
    arguments = ["build", "--recipe", "open", "--data-dir", str(tmp_path / "photos"), "--output", str(tmp_path / "set"),
                 "--set", "clusters.count=5", "--set", "instances.short_side=64", "--quiet", "--workers", "1"]  # fmt: skip
    hub.faults[:] = [Fault("HEAD", "facebook/dinov2-small", "cut", times=99)]
    said = client.ask("mbps", arguments=arguments, token="")["err"]
    assert said.startswith("mbps build: ") and "semantics.backbone: facebook/dinov2-small is no folder here" in said
    assert "the Hub cannot be reached" in said and "--set semantics.backbone=builtin takes that of the demo" in said
    hub.faults.clear()
    hub.repositories["facebook/dinov2-small"] = _repository_of(tmp_path / "network")
    answer = client.ask("mbps", arguments=arguments, token="")
    assert answer["status"] == 0 and "3 images labelled with recipe open" in answer["out"]
    document = json.loads((tmp_path / "set" / "labelset.json").read_text())
    assert document["ground_truth_used"] == [] and document["supervision"]["semantic backbone"].endswith("Apache-2.0")
    assert "licence of the weights: Apache-2.0" in (tmp_path / "set" / "README.md").read_text()
    hub.faults[:] = [Fault(method, "facebook/dinov2-small", "cut", times=99) for method in ("HEAD", "GET")]
    again = [*arguments[:-1], "1", "--overwrite", "--set", "clusters.count=4"]
    assert client.ask("mbps", arguments=again, token="")["status"] == 0
    hub.faults.clear()


def _repository_of(folder: Path) -> Repository:
    files = {path.name: Blob(path.read_bytes(), large=path.suffix == ".safetensors") for path in folder.iterdir()}
    made = Repository()
    made.branches["main"] = made._add(made.at("main").oid, "weights", files).oid
    return made


def test_offline_mode_says_how_else_to_get_it():
    with pytest.raises(WeightsError) as said:
        networks.weights_folder("attention", GATED)
    assert "HF_HUB_OFFLINE keeps this process off the Hub; unset it, or fetch it where" in str(said.value)
    assert f"`hf download {GATED} --local-dir FOLDER`" in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize(
    "reference", ["weights", "weights/", "a/b/c", "./weights/cause", "/weights/cause", "~/weights", ""]
)
def test_what_cannot_be_an_id_is_never_asked_for(reference):
    assert not hub_weights.is_hub_id(reference)


def test_ids_that_messages_and_recipes_name_stand_in_the_page_of_networks():
    page = (Path(__file__).parents[2] / "docs/cityscapes.md").read_text()
    assert all(f"https://huggingface.co/{hub_id}" in page for hub_id in hub_weights.PUBLISHED)
    table = page[page.index("## The networks") :]
    assert all(f"--set {setting}=" in table for setting in set(networks._SETTING.values()))
