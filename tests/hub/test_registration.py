"""The name "mbps-pseudo" is known whatever is imported first, and importing the package imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


HEAVY = ("datasets", "torch", "transformers", "scipy", "pyarrow", "pandas")
KNOWN = 'datasets.get_dataset_config_names("mbps-pseudo")[0]'


def run(script: str, cwd: os.PathLike[str], **environment: str) -> str:
    paths = os.pathsep.join(os.path.abspath(path or ".") for path in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=1500, cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    assert run(f"import sys, mbps_dataset; print([m for m in {HEAVY} if m in sys.modules])", tmp_path) == "[]"


@pytest.mark.parametrize("order", ["mbps_dataset, datasets", "datasets, mbps_dataset"])
def test_the_name_is_known_in_either_order_of_imports(order, tmp_path):
    assert run(f"import {order}\nprint({KNOWN})", tmp_path) == "demo"


def test_the_hook_leaves_no_trace(tmp_path):
    script = """
        import sys
        before = list(sys.meta_path)
        import mbps_dataset
        mbps_dataset.register()  # twice is once
        print(len(sys.meta_path) - len(before))
        import datasets
        print(sys.meta_path == before, type(datasets.__loader__).__name__, type(datasets.__spec__.loader).__name__)
        print(datasets.load.dataset_module_factory is datasets.inspect.dataset_module_factory)
    """
    assert run(script, tmp_path).split("\n") == ["1", "True SourceFileLoader SourceFileLoader", "True"]


@pytest.mark.nightly
def test_an_import_of_datasets_that_fails_is_taught_on_the_next_try(tmp_path):
    script = f"""
        import sys, mbps_dataset
        sys.modules["pyarrow"] = None
        try:
            import datasets
        except ImportError:
            print("failed")
        del sys.modules["pyarrow"]
        import datasets
        print({KNOWN})
    """
    assert run(script, tmp_path) == "failed\ndemo"


@pytest.mark.nightly
def test_worker_processes_that_import_afresh_know_it_too(tmp_path):
    script = f"""
        import multiprocessing
        def known(_):
            import mbps_dataset, datasets
            return {KNOWN}
        if __name__ == "__main__":
            import mbps_dataset
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(pool.map(known, [0])[0])
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    assert run("import runpy; runpy.run_path('script.py', run_name='__main__')", tmp_path) == "demo\ndemo"


@pytest.mark.parametrize("files", [["datasets.py"], ["datasets/__init__.py"], ["datasets/notes.txt"]])
def test_another_module_or_folder_of_that_name_is_left_alone(files, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    script = f"""
        import sys
        sys.path[:] = [p for p in sys.path if "site-packages" not in p]
        sys.path.insert(0, {str(tmp_path)!r})
        import mbps_dataset, datasets
        print(list(datasets.__path__)[0] if hasattr(datasets, "__path__") else datasets.__file__)
    """
    assert run(script, tmp_path).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "without", ["sys.modules['datasets'] = None", "sys.path[:] = [p for p in sys.path if 'site-packages' not in p]"]
)
def test_without_datasets_the_package_still_imports(without, tmp_path):
    script = f"""
        import sys
        {without}
        import mbps_dataset
        try:
            import datasets
        except ImportError:
            print(mbps_dataset.__version__ != "")
    """
    assert run(script, tmp_path) == "True"


def test_it_can_be_switched_off(tmp_path):
    script = """
        import sys
        before = list(sys.meta_path)
        import mbps_dataset
        print(sys.meta_path == before)
    """
    assert run(script, tmp_path, MBPS_NO_REGISTER="1") == "True"
