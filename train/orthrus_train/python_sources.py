"""Prompts from the Python sources of this installation: code to go on with, questions about it."""

import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from .errors import TrainError
from .prompt_file import Entry

_QUESTIONS = (
    "Explain what this code does.",
    "Explain this code step by step, for a beginner.",
    "Write unit tests for this code with pytest.",
    "Find mistakes in this code and correct them.",
    "Add type hints and docstrings.",
    "Make this code simpler.",
    "Make this code faster, and say what its complexity is.",
    "What can go wrong here, and how would you handle it?",
    "Write the same in JavaScript.",
    "Write the same in Go.",
    "Write the same in C++.",
    "Write the same in Rust.",
    "Review this code.",
    "Show how this code is used.",
    "Summarize this code in two sentences.",
    "Write documentation in Markdown for this code.",
    "Return the whole code with better names.",
    "Return the whole code, with logging added.",
    "Which cases does this code not cover?",
    "Complete this code.",
)
_TASKS = (
    "Write a Python function `{name}`: {doc}",
    "Implement `{name}` in Python. {doc}",
    "{doc} How is this done in Python?",
    "I need code for this, with an explanation: {doc}",
    "Write a class or a function for this, and tests: {doc}",
    "Give three ways to do this in Python: {doc}",
)
_DEFINITION = re.compile(r"^(?:def|class) ", re.MULTILINE)
_DOCUMENTED = re.compile(
    r'^ *def ([a-z]\w*)\([^)]*\)[^:\n]*:\n +"""(.{25,200}?)(?:\n|""")', re.MULTILINE
)
_FILES = 4000  # as many are read at most
_SIZES = range(400, 100_000)  # bytes of a file
_LONGEST_LINE = 300  # longer ones are data, not code


def _sources(random_: random.Random) -> Iterator[str]:
    roots = {sysconfig.get_path(name) for name in ("stdlib", "purelib")}
    paths = sorted({p for root in roots for p in Path(root).rglob("*.py")})
    random_.shuffle(paths)
    for path in paths[:_FILES]:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        if len(text) in _SIZES and max(map(len, text.split("\n"))) <= _LONGEST_LINE:
            yield text


def _snippet(text: str, start: int, random_: random.Random) -> str:
    part = text[start : start + random_.randint(300, 1400)]
    return part[: part.rfind("\n")].rstrip()


def _about(code: str, random_: random.Random) -> Entry:
    question = random_.choice(_QUESTIONS)
    content = f"{question}\n\n```python\n{code}\n```"
    return Entry("about code", messages=({"role": "user", "content": content},))


def _task(name: str, doc: str, random_: random.Random) -> Entry:
    content = random_.choice(_TASKS).format(name=name, doc=doc.strip())
    return Entry("task", messages=({"role": "user", "content": content},))


def _beginning(text: str, random_: random.Random) -> Entry:
    """From the beginning of some line in the first half."""
    start = text.rfind("\n", 0, random_.randrange(max(1, len(text) // 2))) + 1
    return Entry("code", text=text[start : start + random_.randint(200, 900)])


def python_prompts(count: int, has_chat: bool, seed: int) -> list[Entry]:
    """The same ones for the same installation: code, and for a chat model questions and tasks."""
    random_ = random.Random(f"python/{seed}")
    code: list[Entry] = []
    about: list[Entry] = []
    tasks: list[Entry] = []
    for text in _sources(random_):
        code.append(_beginning(text, random_))
        starts = [m.start() for m in _DEFINITION.finditer(text)][:6]
        snippets = [_snippet(text, start, random_) for start in starts]
        about += [_about(s, random_) for s in snippets if len(s) > 200]
        tasks += [_task(m[1], m[2], random_) for m in _DOCUMENTED.finditer(text)]
    parts = [(code, 0.2), (about, 0.45), (tasks, 0.35)] if has_chat else [(code, 1.0)]
    drawn: list[Entry] = []
    for entries, share in parts:
        random_.shuffle(entries)
        drawn += entries[: round(count * share)]
    if not drawn:
        raise TrainError("--python: this installation of Python has no sources to take.")
    random_.shuffle(drawn)
    return drawn
