"""Prompts: what the base answers. From JSONL files, or asked by the base itself."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import chat
from .base import Base
from .errors import TrainError
from .vocabulary import encode

# What a sequence is in the middle of: see writer.py.
ASKING, ANSWERING, WRITING, OPENING = 0, 1, 2, 3
SELF = "self"  # the kind of a text that the base began itself

_SHOWN_MISTAKES = 10
# Other system messages than a format's own, in two of five chats that the base begins itself.
_SYSTEMS = (
    "You are a helpful assistant.",
    "You are an expert programmer. Answer with code first, then a short explanation.",
    "You are a patient teacher.",
    "Answer briefly.",
)
_OWN_SYSTEM_SHARE = 0.6


@dataclass(frozen=True)
class Entry:
    """A line of a prompts file: either messages, the last one the user's, or a text to go on."""

    kind: str
    messages: tuple[dict[str, str], ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Prompt:
    ids: list[int]
    role: int  # ASKING, ANSWERING, WRITING or OPENING
    kind: int  # index into PromptSource.kinds
    group: int  # equal for equal prompts
    thinking: bool  # whether answers may think, where the chat format leaves it open


def _messages_of(value: Any) -> tuple[dict[str, str], ...]:
    """Throws ValueError that says what is wrong."""
    if not isinstance(value, list) or not value:
        raise ValueError('"messages" must be a list of at least one message')
    messages = []
    for i, message in enumerate(value):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in chat.ROLES:
            raise ValueError(f'messages[{i}]: "role" is {role!r}; valid are {", ".join(chat.ROLES)}')
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


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class PromptSource:
    """Draws prompts as token ids: from entries, and begun by the base itself.

    `self_share` of them the base begins: 1 where there are no entries. `thinking` is the share of
    chats in which answers may think. Chats longer than `longest` tokens are left out, texts cut.
    """

    def __init__(
        self,
        base: Base,
        entries: Sequence[Entry],
        self_share: float,
        thinking: float,
        longest: int,
    ) -> None:
        self.base = base
        self.format = base.config.chat
        self.self_share = self_share if entries else 1.0
        self.thinking = thinking
        names = sorted({e.kind for e in entries} | {SELF})
        if len(names) > 255:
            raise TrainError(f"the prompts have {len(names)} kinds; at most 254 are possible.")
        self.kinds = tuple(names)
        self.left_out = 0
        self._prompts = list(self._encoded(entries, longest))
        if entries and not self._prompts:
            raise TrainError(f"all {len(entries)} prompts are longer than {longest} tokens.")

    def _encoded(self, entries: Sequence[Entry], longest: int) -> Iterator[Prompt]:
        for number, entry in enumerate(entries):
            kind = self.kinds.index(entry.kind)
            thinking = random.Random(f"thinking/{number}").random() < self.thinking
            if entry.messages:
                if self.format == "none":
                    raise TrainError(
                        f"{self.base.config.name}: has no chat template, and the prompts have "
                        'messages; give prompts of "text".'
                    )
                text, role = chat.render(entry.messages, self.format, thinking), ANSWERING
            else:
                text, role = entry.text, WRITING
            ids = encode(self.base.tokenizer, text)
            if role == WRITING:
                ids = ids[:longest]
            if 0 < len(ids) <= longest:
                yield Prompt(ids, role, kind, _hash(text), thinking)
            else:
                self.left_out += 1

    def draw(self, count: int, seed: str) -> list[Prompt]:
        """The same prompts for the same seed."""
        random_ = random.Random(seed)
        drawn = []
        for row in range(count):
            if random_.random() < self.self_share:
                thinking = random_.random() < self.thinking
                drawn.append(self._begun(random_, _hash(f"{seed}/{row}"), thinking))
            else:
                drawn.append(random_.choice(self._prompts))
        return drawn

    def _begun(self, random_: random.Random, group: int, thinking: bool) -> Prompt:
        """A chat up to where the user's words stand, or the beginning of a document."""
        kind = self.kinds.index(SELF)
        if self.format == "none":
            return Prompt([self.document_start()], OPENING, kind, group, False)
        own = random_.random() < _OWN_SYSTEM_SHARE
        header = chat.user_header(self.format, None if own else random_.choice(_SYSTEMS))
        return Prompt(encode(self.base.tokenizer, header), ASKING, kind, group, thinking)

    def document_start(self) -> int:
        """The token before a document's first: what ends the one before."""
        config = self.base.config
        named = self.base.tokenizer.token_to_id("<|endoftext|>")
        for candidate in (named, config.bos_id, *config.eos_ids):
            if candidate is not None:
                return candidate
        raise TrainError(
            f"{config.name}: has no token that begins or ends a text; give prompts of your own."
        )
