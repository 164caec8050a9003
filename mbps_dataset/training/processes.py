"""Training on several GPUs: one process per GPU, started by `accelerate launch`, each with windows of its own.

Decisions, ours:

* Every process draws its share of a batch from its own random stream; gradients are averaged after each backward pass,
  so that the networks stay equal in all processes (what DistributedDataParallel does, without its wrapper around modules).
* What is computed once (k-means centres, the first weights) is taken from the first process.
* One checkpoint file holds the state of all processes; it continues with the same number of them and no other.
* Started plainly there is one process, `accelerate` is not even imported, and nothing is averaged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mbps_dataset.errors import RecipeError


@dataclass(frozen=True)
class Processes:
    """This process among those that train together: its number `rank` of `count`, and the `device` it computes on."""

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def started(cls) -> Processes:
        """What `accelerate launch` started: a group of processes, or a single one if it was not used.

        Raises `ModuleNotFoundError` if there are several processes and `accelerate` is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        from accelerate import Accelerator

        state = Accelerator(cpu=not torch.cuda.is_available())
        return cls(state.process_index, state.num_processes, state.device)

    def share(self, total: int) -> int:
        """How many of `total` windows this process draws. Raises `RecipeError` if they cannot be shared out evenly."""
        if total % self.count:
            raise RecipeError(
                f"A batch of {total} windows cannot be shared by {self.count} processes evenly; choose a multiple of "
                f"{self.count}."
            )
        return total // self.count

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        from accelerate.utils import reduce

        mean = reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
        for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(part.view_as(gradient))

    def from_first(self, tensor: Tensor) -> Tensor:
        """The first process's `tensor`, in all of them."""
        if self.count == 1:
            return tensor
        from accelerate.utils import broadcast

        return broadcast(tensor.contiguous())

    def gathered(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """What every process has, in order of their numbers, in all of them."""
        if self.count == 1:
            return [item]
        from accelerate.utils import gather_object

        return gather_object([item])

    def wait_for_all(self) -> None:
        """Return when every process has got here."""
        if self.count > 1:
            from accelerate.utils import wait_for_everyone

            wait_for_everyone()
