#!/usr/bin/env python3
"""One stream through the Python package against the command, in alternation:

    PYTHONPATH=build/python/package bench/python_speed.py build/orthrus MODEL [--heads FILE]

Both are processes of their own, that load the model and decode the same tokens, which are compared.
Tokens a second are of decoding, as both tell it; what Python's clock saw, from the first step to the
last, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

PROMPT = "def quicksort(items):\n"


def stream(arguments: argparse.Namespace) -> None:
    import orthrus

    engine = orthrus.Engine(arguments.model, heads=arguments.heads, device=arguments.device)
    params = orthrus.SamplingParams(
        max_tokens=arguments.tokens, temperature=0, ignore_eos=True, mode=arguments.mode
    )
    steps = engine.stream(PROMPT, params)
    next(steps)
    began = time.perf_counter()
    seen = sum(len(step.token_ids) for step in steps)
    seconds = time.perf_counter() - began
    generation = steps.generation
    assert generation is not None
    answer = {
        "output_ids": generation.token_ids.tolist(),
        "stats": {"tokens_per_second": generation.stats.tokens_per_second},
        "seen": seen / seconds,
    }
    print(json.dumps(answer))


def output(line: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        subprocess.run(line, capture_output=True, check=True).stdout
    )
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("model")
    parser.add_argument("--heads")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--mode", default="auto", choices=["ar", "dual", "auto"])
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        return stream(arguments)

    heads = [] if arguments.heads is None else ["--heads", arguments.heads]
    command = [arguments.command, "generate", "-m", arguments.model, *heads, "-p", PROMPT, "--json",
               "--device", arguments.device, "-n", str(arguments.tokens), "--mode", arguments.mode,
               "--temperature", "0", "--ignore-eos"]  # fmt: skip
    package = [sys.executable, *sys.argv, "--once"]
    speeds: tuple[list[float], list[float]] = ([], [])
    for i in range(arguments.rounds):
        answers: dict[int, dict[str, Any]] = {}
        for which in (i % 2, 1 - i % 2):
            answers[which] = output((command, package)[which])
        assert answers[0]["output_ids"] == answers[1]["output_ids"]
        for which in (0, 1):
            speeds[which].append(answers[which]["stats"]["tokens_per_second"])
        print(f"command {speeds[0][-1]:6.1f}  package {speeds[1][-1]:6.1f}, "
              f"as Python saw it {answers[1]['seen']:6.1f}", flush=True)  # fmt: skip
    ratios = [ours / theirs for theirs, ours in zip(*speeds)]
    print(f"medians: command {statistics.median(speeds[0]):.1f}, package "
          f"{statistics.median(speeds[1]):.1f}; of the ratios {statistics.median(ratios):.3f}, "
          f"{min(ratios):.2f} to {max(ratios):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
