"""`prompts`: a JSONL file of prompts, from files, from Python sources, or asked by the base.

`generate` lets the base ask without such a file, too; with it the questions can be looked at,
chosen from, and mixed with others.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from .base import Base
from .errors import TrainError
from .machine import Place, add_device_argument, place_of, usual_dtype
from .options import count, whole
from .prompt_file import Entry, read_prompts, write_prompts
from .prompt_source import OPENING, SELF, Begun, PromptSource
from .python_sources import python_prompts
from .vocabulary import end_ids
from .writer import OPENING_TOKENS, Writer, fitting_batch

_USUAL = 4096
_LENGTH = 256  # tokens of a question's sequence, its header included


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the base: a directory or a .gguf file")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="JSONL", help="the file to write"
    )
    parser.add_argument(
        "--from",
        dest="files",
        type=Path,
        action="append",
        default=[],
        metavar="JSONL",
        help='lines of {"messages": [...]} or {"text": ...}; an answer at the end is left out',
    )
    parser.add_argument(
        "--python", type=count, metavar="N", help="take N from this installation's Python sources"
    )
    parser.add_argument(
        "--ask",
        type=count,
        metavar="N",
        help=f"let the base ask N questions ({_USUAL} where there are no other prompts)",
    )
    parser.add_argument("--batch", type=count, help="questions at once (as many as fit, to 1024)")
    parser.add_argument("--seed", type=whole, default=0)
    add_device_argument(parser)


def _entry(base: Base, tokens: list[int], begun: Begun) -> Entry | None:
    """What was asked; or how a document began. None where nothing was."""
    ends = end_ids(base.tokenizer, base.config.eos_ids)
    words = tokens[begun.words_at :]
    length = next((i for i, word in enumerate(words) if word in ends), None)
    if begun.prompt.role == OPENING:
        text = base.tokenizer.decode(words[:OPENING_TOKENS][:length])
        return Entry(SELF, text=text) if text.strip() else None
    if length is None:
        return None
    question = base.tokenizer.decode(words[:length]).strip()
    if not question:
        return None
    messages: tuple[dict[str, str], ...] = ({"role": "user", "content": question},)
    if begun.system is not None:
        messages = ({"role": "system", "content": begun.system}, *messages)
    return Entry(SELF, messages=messages)


def ask(base: Base, wanted: int, batch: int | None, seed: int, place: Place) -> Iterator[Entry]:
    """Different questions that the base asks when it stands where the user's words would."""
    length = min(_LENGTH, base.config.max_positions // 16 * 16)
    source = PromptSource(base, [], 1.0, 0.0, length // 2)
    writer = Writer(base, fitting_batch(base, length, batch), length, length // 2)
    seen: set[str] = set()
    asked = 0
    # Many end late or were asked before, but not nine of ten.
    for number in range(10 * (wanted // writer.batch + 1)):
        name = f"ask/{seed}/{number}"
        random_ = random.Random(name)
        all_begun = [source.begun(random_) for _ in range(writer.batch)]
        prompts = [begun.prompt for begun in all_begun]
        tokens = writer.write(prompts, [1.0] * writer.batch, random_.getrandbits(56)).tokens
        for row, begun in enumerate(all_begun):
            entry = _entry(base, tokens[row].tolist(), begun)
            key = None if entry is None else entry.text or entry.messages[-1]["content"]
            if entry is None or key is None or key in seen:
                continue
            seen.add(key)
            yield entry
            asked += 1
            if asked == wanted:
                return
        place.log(f"{asked} questions of {wanted}")
    place.log(f"the base asks the same again and again: {asked} questions, not {wanted}")


def run(args: argparse.Namespace) -> None:
    place = place_of(args.device)
    if place.world > 1:
        raise TrainError(
            "`prompts` runs as one process: it takes a minute; start it without torchrun."
        )
    entries = [entry for path in args.files for entry in read_prompts(path)]
    wanted = args.ask or (None if args.files or args.python else _USUAL)
    if wanted or args.python:
        base = Base.load(args.model, place.device, usual_dtype(place.device))
        if args.python:
            entries += python_prompts(args.python, base.config.chat != "none", args.seed)
        if wanted:
            entries += ask(base, wanted, args.batch, args.seed, place)
    write_prompts(args.out, entries)
    place.log(f"{args.out}: {len(entries)} prompts")
