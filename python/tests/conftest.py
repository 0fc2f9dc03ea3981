from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orthrus
import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny-code"
DEVICE = os.environ.get("ORTHRUS_DEVICE", "cpu")  # where most tests' engine computes
PROMPT = "def fibonacci(n):"
# Which it continues for long without an end.
LONG = orthrus.SamplingParams(max_tokens=2000, ignore_eos=True, mode="ar")


@pytest.fixture(scope="session")
def engine() -> Iterator[orthrus.Engine]:
    with orthrus.Engine(TINY, device=DEVICE, chat_format="qwen2.5") as engine:
        yield engine


@pytest.fixture(scope="session")
def command() -> Callable[..., dict[str, Any]]:
    """`orthrus generate --json` with these arguments, as an object."""

    def run(*arguments: str) -> dict[str, Any]:
        line = [os.environ["ORTHRUS"], "generate", "-m", str(TINY), "--device", DEVICE, "--json"]
        line += arguments
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run
