"""The command line: python -m orthrus_train COMMAND. Exits with 2 for usage, with 1 for failure."""

import argparse
import atexit
import importlib
import os
import sys
from typing import NoReturn

from .errors import TrainError

COMMANDS = {
    "make": "all of the below in one go: heads for a base",
    "prompts": "beginnings of texts, from files of yours or made without any",
    "generate": "the base's own texts, from prompts",
    "train": "heads, from the base's own texts",
    "evaluate": "what decoding accepts with heads",
    "export": "heads as a file for the engine",
    "plot": "pictures of a training",
}


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """With the options of the chosen command only: PyTorch takes seconds to import."""
    result = argparse.ArgumentParser(
        prog="orthrus_train",
        description="Orthrus heads for a Qwen2 or Qwen3 model of your own.",
        epilog="With several GPUs: torchrun --nproc-per-node N -m orthrus_train ...",
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return result


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    args = parser(words[0] if words else None).parse_args(words)
    try:
        args.run(args)
    except (TrainError, OSError) as error:
        print(f"orthrus_train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("orthrus_train: interrupted", file=sys.stderr)
        return 130
    return 0


def leave(status: int) -> NoReturn:
    """Where processes train together the interpreter is not taken down. A thread of gloo's may still
    hold a tensor then, and aborts the process when it lets go of it (PyTorch 2.15).
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
