"""`generate`: a directory of the base's own answers, for `train`."""

import argparse
import hashlib
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .base import Base
from .dataset import (
    GREEDY,
    PROMPT,
    Meta,
    read_meta,
    read_shard,
    shard_path,
    shard_paths,
    write_meta,
    write_shard,
)
from .engine_writer import EngineWriter, load_engine
from .engine_writer import is_installed as engine_is_installed
from .errors import TrainError
from .machine import Place, add_compile_argument, add_device_argument, place_of, usual_dtype
from .options import count, many, number, whole
from .prompt_file import Entry, read_prompts
from .prompt_source import PromptSource
from .writer import Writer, Written, fitting_batch

_SAMPLED_TEMPERATURES = (0.7, 1.0)
_GRAM = 6  # tokens
_EMPTY_ROUNDS = 3  # in a row, after which more would not help


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the base: a directory or a .gguf file")
    parser.add_argument(
        "--out", required=True, type=Path, help="the directory to write or continue"
    )
    parser.add_argument(
        "--prompts",
        type=Path,
        action="append",
        default=[],
        metavar="JSONL",
        help='lines of {"messages": [...]} or {"text": ...}; without it the base asks itself',
    )
    parser.add_argument(
        "--self-share",
        type=number(0, 1),
        default=0.3,
        metavar="SHARE",
        help="of sequences that the base begins itself where there are prompts (0.3)",
    )
    stop = parser.add_mutually_exclusive_group(required=True)
    stop.add_argument("--minutes", type=number(0.001, 1e6), help="how long to write")
    stop.add_argument("--tokens", type=many, help="how many tokens the directory is to have")
    parser.add_argument("--length", type=count, default=1024, help="tokens of a sequence (1024)")
    parser.add_argument("--batch", type=count, help="sequences at once (as many as fit, to 1024)")
    parser.add_argument(
        "--greedy",
        type=number(0, 1),
        default=0.7,
        metavar="SHARE",
        help="of greedy sequences (0.7); the others are sampled, at temperatures 0.7 and 1.0",
    )
    parser.add_argument(
        "--thinking",
        type=number(0, 1),
        default=0.5,
        metavar="SHARE",
        help="of chats in which a base that can think may (0.5)",
    )
    parser.add_argument(
        "--min-distinct",
        type=number(0, 1),
        default=0.55,
        metavar="SHARE",
        help=f"drop sequences with less distinct {_GRAM}-grams: loops (0.55)",
    )
    parser.add_argument(
        "--min-own",
        type=number(0, 1),
        default=0.125,
        metavar="SHARE",
        help="drop sequences with less tokens of the base's own (0.125)",
    )
    parser.add_argument(
        "--writer",
        choices=("auto", "torch", "engine"),
        default="auto",
        help="PyTorch, or the engine by its Python package orthrus: auto on a processor, where "
        "that is installed",
    )
    parser.add_argument("--seed", type=whole, default=0)
    add_device_argument(parser)
    add_compile_argument(parser)


@dataclass(frozen=True)
class Kept:
    """Which sequences a round keeps: those that do not loop, with enough of the base's own."""

    min_distinct: float
    min_own: float

    def rows(self, written: Written) -> Tensor:
        """bool [batch]."""
        own = (written.own != PROMPT).float().mean(-1)
        kept: Tensor = (distinct_share(written.tokens) >= self.min_distinct) & (own >= self.min_own)
        return kept


def distinct_share(tokens: Tensor) -> Tensor:
    """float32 [batch]: how many of a sequence's 6-grams are different ones, at most 1."""
    ids = tokens.numpy().astype(np.uint64)
    places = ids.shape[1] - _GRAM + 1
    grams = np.zeros((len(ids), places), dtype=np.uint64)
    for i in range(_GRAM):  # a hash: that two meet is too unlikely to matter
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + ids[:, i : i + places] + np.uint64(1)
    distinct = [len(np.unique(row)) for row in grams]
    return torch.tensor([n / places for n in distinct])


def group_of(tokens: Tensor, own: Tensor) -> int:
    """A hash of what stands before the base's own first word, the questions that it asked itself
    included: it asks the same ones now and then, and gives the same greedy answer.
    """
    prompt = int((own == PROMPT).cumprod(0).sum())
    digest = hashlib.sha256(tokens[:prompt].numpy().tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def draw_temperatures(batch: int, greedy: float, seed: str) -> list[float]:
    random_ = random.Random(seed)
    return [
        0.0 if random_.random() < greedy else random_.choice(_SAMPLED_TEMPERATURES)
        for _ in range(batch)
    ]


class Progress:
    """What has been written by this process, and how long the rest may take."""

    def __init__(self, place: Place, args: argparse.Namespace, tokens: int) -> None:
        self.place = place
        self.minutes: float | None = args.minutes
        # Each process writes its part.
        self.wanted = None if args.tokens is None else -(-args.tokens // place.world)
        self.tokens = tokens  # kept, those of earlier calls included
        self.written = 0  # by this call, those that are dropped included
        self.began = self.shown = time.monotonic()
        self.kept_now = 0

    def is_done(self) -> bool:
        if self.wanted is not None:
            return bool(self.tokens >= self.wanted)
        assert self.minutes is not None
        return time.monotonic() - self.began >= 60 * self.minutes

    def left(self) -> str:
        passed = time.monotonic() - self.began
        if self.minutes is not None:
            return _minutes(60 * self.minutes - passed)
        if self.kept_now == 0 or self.wanted is None:
            return "?"
        return _minutes((self.wanted - self.tokens) * passed / self.kept_now)

    def rate(self) -> str:
        return f"{self.written / (time.monotonic() - self.began):,.0f} tokens/s a process"


def _many(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min left" if seconds > 0 else "this round is the last"


def _meta(
    base: Base, source: PromptSource, args: argparse.Namespace, prompts: str, writes: str
) -> Meta:
    made = {
        "seed": args.seed,
        "prompts": prompts,
        "self_share": source.self_share,
        "greedy": args.greedy,
        "thinking": args.thinking if base.config.chat != "none" else 0.0,
        "min_distinct": args.min_distinct,
        "min_own": args.min_own,
        "writer": writes,
    }
    return Meta(
        base=base.fingerprint(),
        base_name=base.config.name,
        vocab_size=base.config.vocab_size,
        length=args.length,
        kinds=source.kinds,
        made=made,
    )


def _read_all(paths: list[Path]) -> tuple[list[Entry], str]:
    """The prompts of all files, and a hash of them."""
    entries = [entry for path in paths for entry in read_prompts(path)]
    if not entries:
        return [], "none"
    return entries, hashlib.sha256(repr(entries).encode()).hexdigest()[:16]


def _resume(directory: Path, meta: Meta, place: Place) -> tuple[int, int]:
    """The next round's number, and how many tokens this process has kept so far."""
    write_meta(directory, meta)
    for leftover in directory.glob(f"shard-{place.rank:04}-*.part"):
        leftover.unlink(missing_ok=True)
    done = shard_paths(directory, place.rank)
    tokens = sum(read_shard(p, read_meta(directory))["tokens"].numel() for p in done)
    return (int(done[-1].stem.rsplit("-", 1)[1]) + 1 if done else 0), tokens


def _write_round(
    writer: Writer | EngineWriter,
    source: PromptSource,
    kept: Kept,
    args: argparse.Namespace,
    place: Place,
    number: int,
    progress: Progress,
) -> int:
    """One shard. The same one for the same settings, however often it is begun."""
    seed = f"{args.seed}/{place.rank}/{number}"
    prompts = source.draw(writer.batch, seed)
    temperatures = draw_temperatures(writer.batch, args.greedy, seed + "/temperature")
    chance = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7], "big")

    def watch(count: int) -> None:
        progress.written += count
        if time.monotonic() - progress.shown > 15:
            progress.shown = time.monotonic()
            place.log(f"round {number}: {progress.rate()},", progress.left())

    written = writer.write(prompts, temperatures, chance, watch)
    rows = kept.rows(written)
    kind = torch.tensor([p.kind for p in prompts])[rows]
    tokens, own = written.tokens[rows], written.own[rows]
    group = torch.tensor([group_of(*row) for row in zip(tokens, own, strict=True)])
    write_shard(shard_path(args.out, place.rank, number), tokens, own, kind, group)
    progress.tokens += tokens.numel()
    progress.kept_now += tokens.numel()
    own_share = float((own != PROMPT).float().mean()) if own.numel() else 0.0
    greedy = float((own == GREEDY).sum() / (own != PROMPT).sum().clamp(min=1))
    place.log(
        f"round {number}: kept {int(rows.sum())} of {len(rows)}, {_many(progress.tokens)} tokens,",
        f"own {own_share:.0%}, of them greedy {greedy:.0%}; {progress.rate()},",
        progress.left(),
    )
    return int(rows.sum())


def _who_writes(args: argparse.Namespace, place: Place) -> str:
    if args.writer != "auto":
        return str(args.writer)
    return "engine" if place.device.type == "cpu" and engine_is_installed() else "torch"


def _writer(base: Base, batch: int, args: argparse.Namespace, writes: str) -> Writer | EngineWriter:
    if writes == "engine":
        return EngineWriter(base, load_engine(args.model), batch, args.length)
    compiles = args.compiles and base.device.type == "cuda"
    return Writer(base, batch, args.length, args.length // 2, compiles)


def run(args: argparse.Namespace) -> None:
    place = place_of(args.device)
    writes = _who_writes(args, place)
    entries, prompts = _read_all(args.prompts)
    base = Base.load(args.model, place.device, usual_dtype(place.device))
    if not 16 <= args.length <= base.config.max_positions or args.length % 16 != 0:
        raise TrainError(
            f"--length is {args.length}; it must be a multiple of 16, from 16 to the base's "
            f"{base.config.max_positions} positions."
        )
    source = PromptSource(base, entries, args.self_share, args.thinking, args.length // 2)
    if source.left_out:
        place.log(f"prompts left out, longer than {args.length // 2} tokens: {source.left_out}")
    meta = _meta(base, source, args, prompts, writes)
    number, tokens = _resume(args.out, meta, place)
    if number:
        place.log(f"{args.out} has {_many(tokens)} tokens of this process: going on")
    batch = fitting_batch(base, args.length, args.batch)
    place.log(f"{base.config.name} on {place.device}: {batch} sequences of {args.length} at once")
    writer = _writer(base, batch, args, writes)
    progress = Progress(place, args, tokens)
    empty = 0
    while not progress.is_done():
        kept = Kept(args.min_distinct, args.min_own)
        rows = _write_round(writer, source, kept, args, place, number, progress)
        empty = 0 if rows else empty + 1
        if empty == _EMPTY_ROUNDS:
            raise TrainError(
                f"nothing of {empty * batch} sequences was worth keeping: they loop, or hardly "
                "answer; look at --min-distinct, --min-own and the prompts."
            )
        number += 1
    place.log(f"{args.out}: {_many(progress.tokens)} tokens of this process")
