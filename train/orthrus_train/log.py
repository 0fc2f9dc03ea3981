"""The log of a training: a line of JSON for each record in log.jsonl, and lines for who watches."""

import json
import time
from pathlib import Path
from typing import Any

from .schedule import Progress

NAME = "log.jsonl"


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def read(directory: Path) -> list[dict[str, Any]]:
    """All records but those cut short, as the last is where a process was killed."""
    path = directory / NAME
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


class Log:
    """Only the first worker's writes and prints."""

    def __init__(self, directory: Path, writes: bool, step: int):
        """step: where training begins; records of later steps, which were lost, are dropped."""
        self._writes = writes
        self._path = directory / NAME
        if not writes:
            return
        directory.mkdir(parents=True, exist_ok=True)
        kept = [r for r in read(directory) if r.get("step", 0) <= step] if step > 0 else []
        self._path.write_text("".join(json.dumps(record) + "\n" for record in kept))

    def record(self, record: dict[str, Any]) -> None:
        if self._writes:
            with open(self._path, "a") as file:
                file.write(json.dumps(record) + "\n")

    def say(self, text: str) -> None:
        if self._writes:
            print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    def step(self, summary: dict[str, Any], progress: Progress, fraction: float) -> None:
        self.record(summary)
        left, rate = progress.seconds_left(fraction), summary.get("rows_per_second")
        self.say(
            f"step {summary['step']}  {fraction:4.0%}  loss {summary['loss']:.4f}  "
            f"accepted {summary['accepted']:.2f} of {len(summary['by_position'])}  "
            + ("" if rate is None else f"{rate:,.0f} rows/s  ")
            + ("" if left is None else f"{duration(left)} left")
        )
        if parts := summary.get("seconds_of_parts"):
            total = sum(parts.values())
            self.say(
                "  "
                + ", ".join(
                    f"{name or 'between steps'} {s / total:.0%}" for name, s in parts.items()
                )
            )

    def held_out(self, step: int, records: list[dict[str, Any]]) -> None:
        self.record({"step": step, "held_out": records})
        parts = []
        for found in records:
            if found["kind"] == "all":
                name = f"at {found['temperature']:g}" if found["temperature"] else "greedy"
                parts.append(f"{name} {found['decoding']:.2f} of {found['rows']}")
        self.say(f"step {step}, held out: " + ", ".join(parts))

    def begin(self, settings: dict[str, Any]) -> None:
        self.record({"settings": settings})
