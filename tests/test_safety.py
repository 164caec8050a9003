"""What the source text must not do: run code from files, or handle the Hub's token."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mbps_dataset


ROOT = Path(mbps_dataset.__file__).parent
SOURCES = [*sorted(ROOT.rglob("*.py")), *sorted((ROOT.parent / "builder_scripts").glob("*.py"))]

RUNS_CODE = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
    "joblib.load", "shelve.open", "marshal.load", "marshal.loads", "eval", "exec", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "torch.jit.load", "torch.hub.load", "os.system", "os.popen", "subprocess.getoutput",
}  # fmt: skip
MUST_SAY = {"torch.load": ("weights_only", True)}
MUST_NOT_SAY = ("shell", "trust_remote_code", "allow_pickle")


def complaints(text: str) -> list[str]:
    """Calls in a source text that could run what a file holds."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in RUNS_CODE:
            found.append(name)
        if name in MUST_SAY:
            keyword, value = MUST_SAY[name]
            said = [k.value for k in node.keywords if k.arg == keyword]
            if not (said and isinstance(said[0], ast.Constant) and said[0].value is value):
                found.append(f"{name} without {keyword}={value}")
        found += [
            f"{name} with {k.arg}" for k in node.keywords if k.arg in MUST_NOT_SAY and ast.unparse(k.value) != "False"
        ]
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import pickle\npickle.loads(b'')", ["pickle.loads"]),
        ("torch.load(path)", ["torch.load without weights_only=True"]),
        ("torch.load(path, weights_only=False)", ["torch.load without weights_only=True"]),
        ("torch.load(path, weights_only=True)", []),
        ("np.load(path, allow_pickle=True)", ["np.load with allow_pickle"]),
        ("subprocess.run(x, shell=True)", ["subprocess.run with shell"]),
        ("json.loads(text)", []),
    ],
)
def test_the_reader_of_calls_sees_them(text, found):
    assert complaints(text) == found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_no_file_can_run_code(path):
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_the_token_stays_with_huggingface_hub(path):
    """The one place that reads it removes it from messages; no environment variable with it is named anywhere else."""
    text = path.read_text(encoding="utf-8")
    code = [ast.unparse(n) for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.Name, ast.Attribute, ast.Call))]
    reads = [each for each in code if "get_token" in each or "HF_TOKEN" in each]
    assert not reads or path.name == "hub_errors.py", reads
