"""`train`: heads for a base, from the base's own texts."""

import argparse
from pathlib import Path

import torch

from .base import Base
from .dataset import Dataset
from .errors import TrainError
from .loss import KINDS
from .machine import add_device_argument, place_of, usual_dtype
from .mask_token import mask_token_id
from .options import block, count, number, pair_rank, whole
from .trainer import Trainer, TrainOptions
from .workers import Workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = TrainOptions()
    parser.add_argument("--model", required=True, help="the base: a directory or a .gguf file")
    parser.add_argument("--data", type=Path, required=True, help="a directory that generate made")
    parser.add_argument(
        "--out", type=Path, required=True, help="a directory for checkpoint, log and heads"
    )
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument(
        "--minutes",
        type=number(0.01, 1e6),
        help="of training; reading and compiling, a minute or two on a GPU, come on top",
    )
    length.add_argument("--steps", type=count)
    parser.add_argument("--resume", action="store_true", help="go on with what is in the output")
    parser.add_argument("--init", type=Path, help="heads to begin with, in place of the AR view's")
    parser.add_argument("--block-size", type=block, default=default.block_size)
    parser.add_argument(
        "--pair-rank",
        type=pair_rank,
        help="of the pairwise term on drafts, 32 to 256; 0: none (default: what --init has)",
    )
    parser.add_argument("--loss", choices=KINDS, default=default.loss)
    parser.add_argument("--learning-rate", type=number(0, 1), default=default.learning_rate)
    parser.add_argument("--warmup", type=whole, default=default.warmup, help="steps")
    parser.add_argument("--smoothing", type=number(0, 1), default=default.smoothing)
    parser.add_argument(
        "--batch", type=count, default=default.batch, help="sequences of a step, of each GPU"
    )
    parser.add_argument(
        "--rows", type=count, default=default.rows, help="rows of blocks in each sequence"
    )
    parser.add_argument("--seed", type=whole, default=default.seed)
    parser.add_argument("--log-every", type=count, default=default.log_every, help="steps")
    parser.add_argument(
        "--evaluations", type=whole, default=default.evaluations, help="while training"
    )
    parser.add_argument(
        "--checkpoint-minutes", type=number(0, 1e6), default=default.checkpoint_minutes
    )
    parser.add_argument("--mask-token-id", type=whole, help="by default an unused token")
    add_device_argument(parser)
    parser.add_argument(
        "--no-compile", dest="compiled", action="store_false", help="only to look for faults"
    )
    parser.add_argument("--profile", action="store_true", help="say what parts of a step take")


def options_of(args: argparse.Namespace, mask: int) -> TrainOptions:
    names = set(vars(args)) & set(TrainOptions.__dataclass_fields__)
    return TrainOptions(**{**{n: getattr(args, n) for n in names}, "mask_token_id": mask})


def run(args: argparse.Namespace) -> None:
    workers = Workers(place_of(args.device))
    base = Base.load(args.model, workers.device, usual_dtype(workers.device))
    data = Dataset.open(args.data, base)
    options = options_of(args, mask_token_id(base, args.mask_token_id))
    trainer = Trainer(base, data, args.out, workers, options)
    try:
        trainer.run()
    except torch.OutOfMemoryError as error:
        raise TrainError(
            f"{workers.device} has too little memory for {trainer.at_a_time} sequences at a time; "
            f"give a smaller --batch than {options.batch}, or fewer --rows than {options.rows}."
        ) from error
    trainer.export()
    workers.close()
