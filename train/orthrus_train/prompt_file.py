"""Prompts in JSONL: lines of {"messages": [...]} or {"text": ...}, and for either a "kind"."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import chat
from .errors import TrainError
from .files import written_whole

_SHOWN_MISTAKES = 10


@dataclass(frozen=True)
class Entry:
    """A line of a prompts file: either messages, the last one the user's, or a text to go on."""

    kind: str
    messages: tuple[dict[str, str], ...] = ()
    text: str = ""


def _messages_of(value: Any) -> tuple[dict[str, str], ...]:
    """Throws ValueError that says what is wrong."""
    if not isinstance(value, list) or not value:
        raise ValueError('"messages" must be a list of at least one message')
    messages = []
    for i, message in enumerate(value):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in chat.ROLES:
            raise ValueError(
                f'messages[{i}]: "role" is {role!r}; valid are {", ".join(chat.ROLES)}'
            )
        if not isinstance(message.get("content"), str):
            raise ValueError(f'messages[{i}]: "content" must be a text')
        messages.append({"role": role, "content": message["content"]})
    # The base gives its own answer to the last question.
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    if not messages or messages[-1]["role"] == "system":
        raise ValueError("there is no message of the user to answer")
    return tuple(messages)


def _entry_of(line: str) -> Entry:
    """Throws ValueError that says what is wrong. Fields that are not known are ignored."""
    try:
        value = json.loads(line)
    except RecursionError as e:
        raise ValueError("nested too deeply") from e
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}; it must be an object")
    if ("messages" in value) == ("text" in value):
        raise ValueError('it must have either "messages" or "text"')
    kind = value.get("kind", "chat" if "messages" in value else "text")
    if not isinstance(kind, str) or not 0 < len(kind) <= 64:
        raise ValueError('"kind" must be a text of 1 to 64 characters')
    if "messages" in value:
        return Entry(kind, messages=_messages_of(value["messages"]))
    text = value["text"]
    if not isinstance(text, str) or not text:
        raise ValueError('"text" must be a text that is not empty')
    return Entry(kind, text=text)


def read_prompts(path: Path) -> list[Entry]:
    """All lines of a JSONL file. Throws TrainError that names the lines with mistakes."""
    entries: list[Entry] = []
    mistakes: list[str] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    entries.append(_entry_of(line.decode("utf-8")))
                except ValueError as e:
                    mistakes.append(f"line {number}: {e}")
    except OSError as e:
        raise TrainError(f"{path}: cannot be read: {e.strerror or e}.") from e
    if mistakes:
        shown = "\n  ".join(mistakes[:_SHOWN_MISTAKES])
        more = len(mistakes) - _SHOWN_MISTAKES
        raise TrainError(
            f"{path}: {len(mistakes)} of its lines cannot be used:\n  {shown}"
            + (f"\n  and {more} more" if more > 0 else "")
        )
    if not entries:
        raise TrainError(f"{path}: has no prompts; each line is a JSON object.")
    return entries


def write_prompts(path: Path, entries: Iterable[Entry]) -> None:
    """Throws TrainError where the file cannot be written; then there is none."""
    lines = []
    for entry in entries:
        value: dict[str, Any] = {"text": entry.text}
        if entry.messages:
            value = {"messages": list(entry.messages)}
        lines.append(json.dumps(value | {"kind": entry.kind}, ensure_ascii=False) + "\n")
    try:
        with written_whole(path) as part:
            part.write_text("".join(lines), encoding="utf-8")
    except OSError as e:
        raise TrainError(f"{path}: cannot be written: {e.strerror or e}.") from e
