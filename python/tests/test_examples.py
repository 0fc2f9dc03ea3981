"""The example programs say how they are called, where they are called otherwise."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


@pytest.mark.parametrize("name", ["async_many.py", "chat.py", "generate.py", "stream.py"])
def test_without_arguments_there_is_a_usage_line(name: str) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: python {name} [-h] MODEL")
    assert "Traceback" not in done.stderr
    helped = subprocess.run(
        [sys.executable, EXAMPLES / name, "--help"], capture_output=True, text=True
    )
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"usage: python {name} [-h] MODEL")


@pytest.mark.parametrize("name", ["async_many.py", "chat.py", "generate.py", "stream.py"])
def test_errors_are_told_in_a_line(name: str) -> None:
    arguments = ["nowhere", "a prompt"] if name != "chat.py" else ["nowhere"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"{name}: nowhere: is not there; a model is")
    assert done.stderr.count("\n") == 1


def test_a_model_without_a_chat_format_is_told_as_such() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "chat.py", TINY], input="Hi\n", capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("chat.py: ") and "chat" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_chat_ends_with_its_input() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "chat.py", TINY], input="", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "> \n"), done.stderr


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is not None, reason="lm-eval is installed")
def test_without_lm_eval_there_is_a_hint() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "lm_eval_model.py"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "pip install lm-eval" in done.stderr
    assert "Traceback" not in done.stderr
