"""The trained part: each layer's attention in the diffusion view, and the pairwise term's tables.

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
from .pair import Pair


def name_in_file(layer: int, part: str) -> str:
    """self_attn.q_proj.weight is model.layers.3.self_attn.q_proj_diff.weight."""
    module, kind = part.rsplit(".", 1)
    return f"model.layers.{layer}.{module}_diff.{kind}"


class Heads:
    """Begins as a copy of the AR view's attention."""

    def __init__(self, base: Base, pair_rank: int = 0):
        """pair_rank: of the pairwise term; 0: without."""
        shapes = attention_shapes(base.config)
        table = (base.head.shape[0], pair_rank)
        count = len(base.layers) * sum(math.prod(shape) for shape in shapes.values())
        count += 2 * math.prod(table)
        device = base.device
        self.values = nn.Parameter(torch.empty(count, dtype=torch.float32, device=device))
        self.gradient = torch.zeros_like(self.values.data)
        self.values.grad = self.gradient
        self.layers: list[dict[str, nn.Parameter]] = []
        offset = 0

        def part_of_values(shape: tuple[int, ...]) -> nn.Parameter:
            nonlocal offset
            place = slice(offset, offset + math.prod(shape))
            offset = place.stop
            part = nn.Parameter(self.values.data[place].view(shape))
            part.grad = self.gradient[place].view(shape)
            return part

        for layer in base.layers:
            mine = {part: part_of_values(shape) for part, shape in shapes.items()}
            for part, value in mine.items():
                value.data.copy_(layer[part])
            self.layers.append(mine)
        self.pair: Pair | None = None
        if pair_rank > 0:
            self.pair = Pair(part_of_values(table), part_of_values(table))
            self.pair.begin(base.head)

    @property
    def pair_rank(self) -> int:
        return 0 if self.pair is None else self.pair.next.shape[1]

    def named(self) -> dict[str, Tensor]:
        """In the order in which they lie in the buffer."""
        named = {
            name_in_file(n, part): value.data
            for n, layer in enumerate(self.layers)
            for part, value in layer.items()
        }
        if self.pair is not None:
            named[heads_file.PREVIOUS] = self.pair.previous.data
            named[heads_file.NEXT] = self.pair.next.data
        return named

    def load(self, path: Path) -> heads_file.HeadsFile:
        """Values from a file of heads, which must fit."""
        file = heads_file.read(path)
        self.fill(file, path)
        return file

    def fill(self, file: heads_file.HeadsFile, path: Path) -> None:
        """Values of a file that was read from `path`; without tables in it, ours stay as they are."""
        own = self.named()
        if file.pair_rank == 0:
            own.pop(heads_file.PREVIOUS, None)
            own.pop(heads_file.NEXT, None)
        elif file.pair_rank != self.pair_rank:
            raise TrainError(
                f"{path}: its pairwise term has the rank {file.pair_rank}, and these heads' has "
                f"{self.pair_rank}; give --pair-rank {file.pair_rank}, or none, to begin with it."
            )
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

    def in_file(self, block_size: int, mask_token_id: int, base: str) -> heads_file.HeadsFile:
        tensors = {name: value.cpu().numpy() for name, value in self.named().items()}
        return heads_file.HeadsFile(tensors, block_size, mask_token_id, base)
