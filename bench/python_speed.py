#!/usr/bin/env python3
"""One stream through the Python package against the command, in alternation:

    PYTHONPATH=build/python/package bench/python_speed.py build/orthrus MODEL [--heads FILE] [--rounds N]

Tokens a second of decoding, as both tell it, and of the whole call as Python's clock has it. The ids
are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time

import orthrus

PROMPT = "def quicksort(items):\n"
TOKENS = 192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("model")
    parser.add_argument("--heads")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mode", default="auto", choices=["ar", "dual", "auto"])
    arguments = parser.parse_args()
    heads = [] if arguments.heads is None else ["--heads", arguments.heads]
    line = [arguments.command, "generate", "-m", arguments.model, *heads, "-p", PROMPT, "--json",
            "-n", str(TOKENS), "--mode", arguments.mode, "--temperature", "0", "--ignore-eos"]  # fmt: skip
    params = orthrus.SamplingParams(
        max_tokens=TOKENS, temperature=0, ignore_eos=True, mode=arguments.mode
    )
    ratios = []
    for _ in range(arguments.rounds):
        done = subprocess.run(line, capture_output=True, check=True)
        answer = json.loads(done.stdout)
        # Loaded anew, as the command does it: the cache is empty, and what passes take unknown.
        with orthrus.Engine(arguments.model, heads=arguments.heads) as engine:
            stream = engine.stream(PROMPT, params)
            next(stream)
            began = time.perf_counter()
            seen = sum(len(step.token_ids) for step in stream)
            seconds = time.perf_counter() - began
        generation = stream.generation
        assert generation is not None and generation.token_ids.tolist() == answer["output_ids"]
        command, package = answer["stats"]["tokens_per_second"], generation.stats.tokens_per_second
        ratios.append(package / command)
        print(f"command {command:6.1f}  package {package:6.1f}  as Python saw it {seen / seconds:6.1f}"
              f"  ratio {ratios[-1]:.3f}", flush=True)  # fmt: skip
    print(f"median of the ratios: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
