"""The trained part: each layer's attention in the diffusion view.

All of it lies in one float32 buffer, its gradient in another: the optimizer, clipping and the sum
over GPUs each take one tensor, and a checkpoint is one, too.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from . import heads_file
from .base import Base
from .config import attention_shapes
from .errors import TrainError


def name_in_file(layer: int, part: str) -> str:
    """self_attn.q_proj.weight is model.layers.3.self_attn.q_proj_diff.weight."""
    module, kind = part.rsplit(".", 1)
    return f"model.layers.{layer}.{module}_diff.{kind}"


class Heads:
    """Begins as a copy of the AR view's attention."""

    def __init__(self, base: Base):
        shapes = attention_shapes(base.config)
        count = len(base.layers) * sum(math.prod(shape) for shape in shapes.values())
        device = base.device
        self.values = nn.Parameter(torch.empty(count, dtype=torch.float32, device=device))
        self.gradient = torch.zeros_like(self.values.data)
        self.values.grad = self.gradient
        self.layers: list[dict[str, nn.Parameter]] = []
        offset = 0
        for layer in base.layers:
            mine = {}
            for part, shape in shapes.items():
                place = slice(offset, offset + math.prod(shape))
                mine[part] = nn.Parameter(self.values.data[place].view(shape))
                mine[part].grad = self.gradient[place].view(shape)
                mine[part].data.copy_(layer[part])
                offset = place.stop
            self.layers.append(mine)

    def named(self) -> dict[str, Tensor]:
        return {
            name_in_file(n, part): value.data
            for n, layer in enumerate(self.layers)
            for part, value in layer.items()
        }

    def load(self, path: Path) -> heads_file.HeadsFile:
        """Values from a file of heads, which must fit."""
        file = heads_file.read(path)
        own = self.named()
        for name, value in own.items():
            given = file.tensors.get(name)
            if given is None:
                raise TrainError(f"{path}: has no tensor {name}")
            if given.shape != tuple(value.shape):
                raise TrainError(
                    f"{path}: {name} is {list(given.shape)}; this base needs {list(value.shape)}"
                )
            tensor = torch.from_numpy(given.copy())
            if not tensor.isfinite().all():
                raise TrainError(f"{path}: {name} has numbers that are not finite")
            value.copy_(tensor)
        if extra := sorted(set(file.tensors) - set(own)):
            raise TrainError(f"{path}: has the tensor {extra[0]}, which this base has no place for")
        return file

    def in_file(self, block_size: int, mask_token_id: int, base: str) -> heads_file.HeadsFile:
        tensors = {name: value.cpu().numpy() for name, value in self.named().items()}
        return heads_file.HeadsFile(tensors, block_size, mask_token_id, base)
