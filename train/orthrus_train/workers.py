"""The processes that train together, one a GPU, as torchrun starts them; or one alone."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .machine import Place


class Workers:
    def __init__(self, place: Place):
        self.rank, self.count, self.device = place.rank, place.world, place.device
        self._joined = self.count > 1 and not dist.is_initialized()
        if self._joined:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """Of them all, the one that writes and prints."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """In place, over all."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def of_first(self, value: float) -> float:
        """The first one's value, so that all decide alike."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def gathered(self, item: object) -> list[Any]:
        """Everyone's item, in everyone's hands."""
        if self.count == 1:
            return [item]
        items: list[Any] = [None] * self.count
        dist.all_gather_object(items, item)
        return items

    def wait(self) -> None:
        """Until all are here."""
        self.of_first(0.0)

    def close(self) -> None:
        if self._joined:
            dist.destroy_process_group()
