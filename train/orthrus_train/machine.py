"""Where a process runs: its device, and which of torchrun's processes it is."""

import os
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass

import torch

from .errors import TrainError


@dataclass(frozen=True)
class Place:
    device: torch.device
    rank: int  # of all processes
    world: int  # how many there are

    def log(self, *parts: object) -> None:
        """A line of progress, of the first process only."""
        if self.rank == 0:
            print(f"[{time.strftime('%H:%M:%S')}]", *parts, file=sys.stderr, flush=True)


def add_device_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: a GPU where there is one; one process a GPU under torchrun",
    )


def add_compile_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--no-compile",
        dest="compiles",
        action="store_false",
        help="write without torch.compile, which only GPUs use (it needs Triton and a C compiler)",
    )


def _from_torchrun(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise TrainError(f"{name} is {text!r} in the environment; torchrun sets it to a number.")
    return int(text)


def place_of(device: str) -> Place:
    """For --device's value. Makes the process's own GPU the current one."""
    rank, world = _from_torchrun("RANK", 0), _from_torchrun("WORLD_SIZE", 1)
    local = _from_torchrun("LOCAL_RANK", 0)
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return Place(torch.device("cpu"), rank, world)
    if not torch.cuda.is_available():
        raise TrainError("--device is cuda, and PyTorch finds no GPU here; cpu is the other one.")
    if local >= torch.cuda.device_count():
        raise TrainError(
            f"LOCAL_RANK is {local}, and there are {torch.cuda.device_count()} GPUs: start as many "
            "processes as there are GPUs."
        )
    torch.cuda.set_device(local)
    return Place(torch.device("cuda", local), rank, world)


def usual_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs; processors are faster, and exact, in float32."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32
