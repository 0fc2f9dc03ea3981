"""Prompts as token ids: drawn from those of files, or begun by the base itself."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Prompt:
    ids: list[int]
    role: int  # ASKING, ANSWERING, WRITING or OPENING
    kind: int  # index into PromptSource.kinds
    group: int  # equal for equal prompts
    thinking: bool  # whether answers may think, where the chat format leaves it open


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
        self._headers = self._fitting_headers(longest)
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
                drawn.append(self.begun(random_, f"{seed}/{row}")[0])
            else:
                drawn.append(random_.choice(self._prompts))
        return drawn

    def begun(self, random_: random.Random, name: str) -> tuple[Prompt, str | None]:
        """A chat up to where the user's words stand, and its system message if that is not the
        format's own; or the beginning of a document. Of equal names, one group.
        """
        kind, group = self.kinds.index(SELF), _hash(name)
        if self.format == "none":
            return Prompt([self.document_start()], OPENING, kind, group, False), None
        thinking = random_.random() < self.thinking
        is_own = random_.random() < _OWN_SYSTEM_SHARE
        system, ids = self._headers[0] if is_own else random_.choice(self._headers)
        return Prompt(ids, ASKING, kind, group, thinking), system

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
