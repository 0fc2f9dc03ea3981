"""The processes that train together, one a GPU, as torchrun starts them; or one alone."""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from .errors import TrainError


class Workers:
    def __init__(self, device: str | None = None):
        """device: cpu or cuda; by default a GPU where there is one."""
        variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        self.rank, self.count, local = (int(os.environ.get(k, v)) for k, v in variables.items())
        kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if kind not in ("cpu", "cuda"):
            raise TrainError(f"--device is {kind}; valid is cpu or cuda.")
        if kind == "cuda":
            found = torch.cuda.device_count()
            if local >= found:
                raise TrainError(f"process {local} of this machine has no GPU: {found} are found.")
            torch.cuda.set_device(local)
        self.device = torch.device(kind, local) if kind == "cuda" else torch.device("cpu")
        self._joined = self.count > 1 and not dist.is_initialized()
        if self._joined:
            dist.init_process_group("nccl" if kind == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """Of them all, the one that writes and prints."""
        return self.rank == 0

    @property
    def dtype(self) -> torch.dtype:
        """What bases compute in here."""
        return torch.bfloat16 if self.device.type == "cuda" else torch.float32

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

    def gathered(self, item: object) -> list:
        """Everyone's item, in everyone's hands."""
        if self.count == 1:
            return [item]
        items: list = [None] * self.count
        dist.all_gather_object(items, item)
        return items

    def close(self) -> None:
        if self._joined:
            dist.destroy_process_group()
