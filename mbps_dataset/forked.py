"""Torch in a forked child: one thread, so that it computes instead of waiting for ever.

The threads of torch's OpenMP pool do not survive a fork, but the pool believes that they do: once the parent has computed
with several threads, the child's first parallel operation waits for them for ever (measured; pytorch/pytorch#17199). With
one thread there is no parallel operation. So every child that is forked after this package was imported is set to one
thread, as torch's own `DataLoader` does with its workers, whichever was imported first and whatever the child computes. A
child that imports this package itself is recognised where `multiprocessing` (or `multiprocess`, which `datasets` uses)
forked it. Processes that are spawned keep their threads.
"""

from __future__ import annotations

import os
import sys


def compute_in_forked_children() -> None:
    """Set this process, if it is a forked child, and all children forked from now on to one thread of torch."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=_use_one_thread)
    if _is_forked_child():
        _use_one_thread()


def _use_one_thread() -> None:
    set_num_threads = getattr(sys.modules.get("torch"), "set_num_threads", None)  # None while torch is being imported
    if set_num_threads is not None:
        set_num_threads(1)


def _is_forked_child() -> bool:
    for name in ("multiprocessing", "multiprocess"):
        module = sys.modules.get(name)
        if module is not None and module.parent_process() is not None:
            return module.get_start_method(allow_none=True) == "fork"
    return False
