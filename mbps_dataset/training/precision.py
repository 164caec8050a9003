"""Half precision where the device gains by it: bfloat16, whose range needs no loss scaling."""

from __future__ import annotations

import torch


def half_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on CUDA and on processors with bfloat16 matrix units; elsewhere a context that does nothing."""
    fast = device.type == "cuda" or (device.type == "cpu" and _processor_has_bfloat16())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def _processor_has_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
