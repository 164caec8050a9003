"""The list of sources costs nothing to read."""

from __future__ import annotations

import subprocess
import sys

from mbps_dataset.source_names import SOURCE_CLASSES, source_names


def test_names_are_read_without_importing_sources():
    assert source_names()[:3] == ("scenes", "cityscapes", "folder") and set(SOURCE_CLASSES) <= set(source_names())
    code = "import sys, mbps_dataset.cli; print('mbps_dataset.sources' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
