"""Prompts as token ids: drawn from those of files, or begun by the base itself."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import chat
from .base import Base
from .errors import TrainError
from .prompt_file import Entry
from .vocabulary import encode

# What a sequence is in the middle of: see writer.py.
ASKING, ANSWERING, WRITING, OPENING = 0, 1, 2, 3
SELF = "self"  # the kind of a text that the base began itself

# Other system messages than a format's own, in two of five chats that the base begins itself.
_SYSTEMS = (
    "You are a helpful assistant.",
    "You are an expert programmer. Answer with code first, then a short explanation.",
    "You are a patient teacher.",
    "Answer briefly.",
)
_OWN_SYSTEM_SHARE = 0.6
# First words of questions. With nothing but the user's header before it, a model of code pastes
# code nine times of ten, and people ask; some chats begin so nevertheless.
_FIRST_WORDS = (
    "Write a; Write a function; Write a Python function; Write a program; Write a class; Write a "
    "script; Write an SQL query; Write tests for; Write a short; Create; Design; Implement; Fix; "
    "Debug; Refactor; Convert; Translate; Summarize; List; Compare; How do I; How can I; How does; "
    "How would you; What is; What are; What happens if; What is the difference between; Why does; "
    "Why is; When should I; Which; Is it; Explain; Explain how; Explain the; Describe; Tell me "
    "about; Show me; Give me; Can you; Could you; Please; Help me; I have; I need; I want to; I "
    "am; I get; In Python,; In JavaScript,; Using; Given; Here is; The following code; My"
).split("; ")
_FIRST_WORDS_SHARE = 0.75


class Begun(NamedTuple):
    prompt: "Prompt"
    system: str | None  # a chat's system message, if it is not the format's own
    words_at: int  # where in the prompt the user's words begin


@dataclass(frozen=True)
class Prompt:
    ids: list[int]
    role: int  # ASKING, ANSWERING, WRITING or OPENING
    kind: int  # index into PromptSource.kinds
    thinking: bool  # whether answers may think, where the chat format leaves it open


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
        self._longest = longest
        self._first_words = [encode(base.tokenizer, words) for words in _FIRST_WORDS]
        self._headers = self._fitting_headers(longest)
        self._prompts = list(self._encoded(entries, longest))
        if entries and not self._prompts:
            raise TrainError(f"all prompts ({len(entries)}) are longer than {longest} tokens.")

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
                yield Prompt(ids, role, kind, thinking)
            else:
                self.left_out += 1

    def draw(self, count: int, seed: str) -> list[Prompt]:
        """The same prompts for the same seed."""
        random_ = random.Random(seed)
        drawn = []
        for _ in range(count):
            if random_.random() < self.self_share:
                drawn.append(self.begun(random_).prompt)
            else:
                drawn.append(random_.choice(self._prompts))
        return drawn

    def begun(self, random_: random.Random) -> Begun:
        """A chat up to the user's first words, or the beginning of a document."""
        kind = self.kinds.index(SELF)
        if self.format == "none":
            return Begun(Prompt([self.document_start()], OPENING, kind, False), None, 1)
        thinking = random_.random() < self.thinking
        is_own = random_.random() < _OWN_SYSTEM_SHARE
        system, ids = self._headers[0] if is_own else random_.choice(self._headers)
        words = random_.choice(self._first_words)
        if random_.random() >= _FIRST_WORDS_SHARE or len(ids) + len(words) > self._longest:
            words = []
        return Begun(Prompt(ids + words, ASKING, kind, thinking), system, len(ids))

    def _fitting_headers(self, longest: int) -> list[tuple[str | None, list[int]]]:
        """System messages, first None for the format's own, and the ids of chats with them."""
        if self.format == "none":
            return []
        headers = []
        for system in (None, *_SYSTEMS):
            ids = encode(self.base.tokenizer, chat.user_header(self.format, system))
            if len(ids) <= longest:
                headers.append((system, ids))
            elif system is None:
                raise TrainError(
                    f"a chat's beginning takes {len(ids)} tokens, and prompts may have {longest}: "
                    "take longer sequences."
                )
        return headers

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
