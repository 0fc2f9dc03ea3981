"""`evaluate`: what decoding would accept with heads, on texts that they were not trained on."""

import argparse
import json
from pathlib import Path

from . import heads_file
from .acceptance import Measure, Way
from .base import Base
from .dataset import Dataset
from .diffusion import Passes
from .errors import TrainError
from .files import written_whole
from .heads import Heads
from .held_out import ALL, Tallies, as_records, measured
from .machine import add_device_argument, place_of, usual_dtype
from .mask_token import mask_token_id
from .memory import fitting_sequences
from .options import count, counts, number, whole
from .workers import Workers

TREES = (8, 16, 32, 64)
LARGEST_TREE = 4096
ON_GPU = (8, 2048)  # sequences of a pass, and block rows of each
ON_PROCESSOR = (1, 256)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the base: a directory or a .gguf file")
    parser.add_argument("--heads", type=Path, required=True, help="a file of heads")
    parser.add_argument("--data", type=Path, required=True, help="a directory that generate made")
    parser.add_argument(
        "--rows", type=counts, help="lengths of blocks, as 16,8,4; decoding drafts block size - 1"
    )
    parser.add_argument(
        "--trees", type=counts, default=TREES, help="nodes of draft trees, as 8,16,32 (default)"
    )
    parser.add_argument(
        "--temperature", type=number(0, 100), default=1.0, help="beside greedy; 0: only greedy"
    )
    parser.add_argument("--texts", type=count, default=64, help="of those held out, at most")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    parser.add_argument("--mask-token-id", type=whole, help="by default what the heads' file says")
    add_device_argument(parser)


def ways(block_size: int, rows: list[int], trees: list[int], temperature: float) -> list[Way]:
    result = []
    for t in [0.0] + ([temperature] if temperature > 0 else []):
        result += [Way(t, n) for n in rows]
        result += [Way(t, block_size, nodes) for nodes in trees]
    return result


def usual_rows(block_size: int) -> list[int]:
    """Whole blocks, what decoding with blocks of that size drafts, and shorter ones."""
    rows = {block_size, block_size - 1, block_size // 2, block_size // 4}
    return sorted((n for n in rows if n > 0), reverse=True)


def table(tallies: Tallies) -> str:
    """Accepted drafts of a cycle, and in brackets of a block anywhere; kinds of text in columns."""
    kinds = sorted({kind for _, kind in tallies if kind != ALL})
    wanted = list(dict.fromkeys(way for way, _ in tallies))
    lines = [f"{'':26}" + "".join(f"{kind[:15]:>16}" for kind in [ALL, *kinds])]
    for way in wanted:
        text = "greedy" if way.temperature == 0 else f"at {way.temperature:g}"
        drafts = f"tree of {way.nodes}" if way.nodes else f"{way.rows} rows"
        line = f"{text:10}{drafts:16}"
        for kind in [ALL, *kinds]:
            found = tallies.get((way, kind))
            cell = f"{found.decoding:.2f} ({found.anywhere:.2f})" if found else "-"
            line += f"{cell:>16}"
        lines.append(line)
    return "\n".join(lines)


def evaluate(
    base: Base,
    data: Dataset,
    path: Path,
    workers: Workers,
    args: argparse.Namespace,
) -> Tallies:
    file = heads_file.read(path)
    heads = Heads(base, file.pair_rank)
    heads.fill(file, path)
    block_size = file.block_size or 16
    given = args.mask_token_id if args.mask_token_id is not None else file.mask_token_id
    passes = Passes(base, mask_token_id(base, given), compiled=base.device.type == "cuda")
    rows = list(args.rows or usual_rows(block_size))
    if max(args.trees) > LARGEST_TREE:
        raise TrainError(f"--trees: {max(args.trees)}; trees have at most {LARGEST_TREE} nodes.")
    if max(rows) > block_size:
        raise TrainError(f"--rows: {max(rows)} are more than the heads' blocks of {block_size}.")
    if data.length <= 2 * block_size:
        raise TrainError(
            f"the data's texts have {data.length} tokens; blocks of {block_size} need more than "
            f"{2 * block_size}."
        )
    batch, rows_at_a_time = ON_GPU if base.device.type == "cuda" else ON_PROCESSOR
    batch = fitting_sequences(base, heads, data.length, rows_at_a_time, batch)
    measure = Measure(passes, heads, block_size, batch, rows_at_a_time)
    chosen = data.held_out[: args.texts]
    wanted = ways(block_size, rows, list(args.trees), args.temperature)
    return measured(measure, data, chosen, wanted, workers)


def run(args: argparse.Namespace) -> None:
    workers = Workers(place_of(args.device))
    base = Base.load(args.model, workers.device, usual_dtype(workers.device))
    tallies = evaluate(base, Dataset.open(args.data, base), args.heads, workers, args)
    if workers.first:
        print("accepted drafts of a cycle (of a block anywhere), on held-out texts")
        print(table(tallies))
        if args.json is not None:
            with written_whole(args.json) as part:
                part.write_text(json.dumps(as_records(tallies), indent=1) + "\n")
    workers.close()
