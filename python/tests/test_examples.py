"""The example programs say how they are called, where they are called otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


@pytest.mark.parametrize("name", ["async_many.py", "chat.py", "generate.py", "stream.py"])
def test_without_arguments_there_is_a_usage_line(name: str) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: python {name} MODEL")
    assert "Traceback" not in done.stderr
