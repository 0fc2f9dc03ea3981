"""Answers a file of prompts on a Ray cluster, again and again to the same bytes:

    python batch.py MODEL prompts.jsonl answers.jsonl --engines 8 --temperature 0.7

Each line of prompts.jsonl has "prompt" or "messages", and may have "id". Each line of answers.jsonl has
the id (by default the line's number), the seed and the text, or, where a prompt is empty, too long or
otherwise of no use, the id and an error. A line's seed is a function of --seed and
the id, and an answer of its line: neither depends on which engine answers what, beside whom, or how
often one dies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext

import orthrus


class Answerer:
    """An engine in an actor."""

    def __init__(self, model: str, options: dict[str, Any], sampling: dict[str, Any], seed: int):
        self.engine = orthrus.Engine(model, **options)
        self.sampling = sampling
        self.seed = seed

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        answers = self.answers([json.loads(line) for line in batch["line"]])
        return {
            "line": [json.dumps(answer, ensure_ascii=False) for answer in answers],
            "error": [answer.get("error", "") for answer in answers],
        }

    def answers(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            return self.generated(rows)
        except (ValueError, TypeError) as error:  # which row it is, halves find out
            if len(rows) == 1:
                return [{"id": rows[0]["id"], "error": str(error)}]
            middle = len(rows) // 2
            return self.answers(rows[:middle]) + self.answers(rows[middle:])

    def generated(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seeds = [seed_of(self.seed, row["id"]) for row in rows]
        prompts = [
            self.engine.tokenizer.apply_chat_template(row["messages"])
            if "messages" in row
            else row["prompt"]
            for row in rows
        ]
        params = [orthrus.SamplingParams(**self.sampling, seed=seed) for seed in seeds]
        return [
            {
                "id": row["id"],
                "seed": seed,
                "text": generation.text,
                "finish_reason": generation.finish_reason,
                "tokens": len(generation.token_ids),
            }
            for row, seed, generation in zip(rows, seeds, self.engine.generate(prompts, params))
        ]


def seed_of(seed: int, row: object) -> int:
    digest = hashlib.sha256(f"{seed}\n{json.dumps(row)}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def rows_of(path: str) -> list[dict[str, str]]:
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise SystemExit(f"{path}:{number}: is no JSON: {error}") from None
            if not isinstance(row, dict) or not ("prompt" in row) ^ ("messages" in row):
                raise SystemExit(f'{path}:{number}: needs either "prompt" or "messages"')
            rows.append({"line": json.dumps({"id": number, **row})})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("prompts")
    parser.add_argument("answers")
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1, help="of each engine")
    parser.add_argument("--gpus", type=float, default=0, help="of each engine")
    parser.add_argument(
        "--batch", type=int, default=32, help="prompts that an engine is given at once"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--heads")
    parser.add_argument("--chat-format")
    arguments = parser.parse_args()

    options = {
        "heads": arguments.heads,
        "chat_format": arguments.chat_format,
        "threads": arguments.cpus,
        "device": "cuda" if arguments.gpus else "cpu",
    }
    sampling = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    DataContext.get_current().execution_options.preserve_order = True
    rows = rows_of(arguments.prompts)
    blocks = max(1, min(len(rows), 4 * arguments.engines))
    answers = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        Answerer,
        fn_constructor_args=(
            os.path.abspath(arguments.model),
            options,
            sampling,
            arguments.seed,
        ),
        batch_size=arguments.batch,
        compute=ActorPoolStrategy(size=arguments.engines),
        num_cpus=arguments.cpus,
        num_gpus=arguments.gpus or None,
        max_restarts=-1,
        max_task_retries=-1,
    )
    errors = []
    # A file that is there is whole.
    unfinished = arguments.answers + ".part"
    with open(unfinished, "w", encoding="utf-8") as file:
        for row in answers.iter_rows():
            file.write(row["line"] + "\n")
            if row["error"]:
                errors.append(row["error"])
    os.replace(unfinished, arguments.answers)
    if errors:
        raise SystemExit(f"{len(errors)} of {len(rows)} answers are errors; the first: {errors[0]}")


if __name__ == "__main__":
    main()
