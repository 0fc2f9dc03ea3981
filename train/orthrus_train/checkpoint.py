"""What training needs to go on as if it had not stopped.

What a step draws at random is a function of seed, worker and step, so no generator's state is kept.
"""

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import TrainError
from .files import written_whole
from .heads import Heads
from .heads_file import HeadsFile

NAME = "checkpoint.pt"
_PARTS = {"identity": dict, "reached": dict, "values": Tensor, "tensors": dict, "optimizer": dict}


@dataclasses.dataclass(frozen=True)
class Identity:
    """What must be the same when a training goes on."""

    base: str  # fingerprint
    base_name: str
    block_size: int
    mask_token_id: int
    rows: int
    batch: int
    workers: int
    loss: str
    pair_rank: int
    seed: int


@dataclasses.dataclass
class Reached:
    """How far it was."""

    step: int = 0
    seconds: float = 0.0


def save(
    directory: Path,
    heads: Heads,
    optimizer: torch.optim.Optimizer,
    identity: Identity,
    reached: Reached,
) -> None:
    state = {
        "identity": dataclasses.asdict(identity),
        "reached": dataclasses.asdict(reached),
        "values": heads.values.data,
        "tensors": {name: list(value.shape) for name, value in heads.named().items()},
        "optimizer": optimizer.state_dict()["state"],
    }
    with written_whole(directory / NAME) as part:
        torch.save(state, part)


def read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise TrainError(f"{path}: is not a checkpoint that can be read: {error}") from error
    if not isinstance(state, dict) or any(
        not isinstance(state.get(name), kind) for name, kind in _PARTS.items()
    ):
        raise TrainError(f"{path}: is not the checkpoint of a training.")
    return state


def load(
    directory: Path, heads: Heads, optimizer: torch.optim.Optimizer, identity: Identity
) -> Reached:
    """Fills heads and optimizer."""
    path = directory / NAME
    if not path.exists():
        raise TrainError(f"{path}: is missing; there is nothing to resume.")
    state = read(path)
    for name, value in dataclasses.asdict(identity).items():
        if state["identity"].get(name) != value:
            raise TrainError(
                f"{path}: was made with {name} {state['identity'].get(name)}, and this training "
                f"has {value}: resume with what it began with, or begin in another directory."
            )
    values: Tensor = state["values"]
    heads.values.data.copy_(values)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
    return Reached(**state["reached"])


def heads_in(path: Path) -> HeadsFile:
    """A checkpoint's heads, in float32."""
    state = read(path)
    identity, values, tensors = state["identity"], state["values"], {}
    for name, shape in state["tensors"].items():
        size = math.prod(shape)
        tensors[name], values = values[:size].view(shape).numpy(), values[size:]
    return HeadsFile(
        tensors, identity["block_size"], identity["mask_token_id"], identity["base_name"]
    )
