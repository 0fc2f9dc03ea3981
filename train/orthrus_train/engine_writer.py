"""Lets the engine, by its Python package, write what writer.py writes with PyTorch.

Each sequence goes on by itself; the engine's scheduler lets all that run share its passes, and what
a sequence says depends on nothing but its seed.
"""

import asyncio
import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from . import chat
from .base import Base
from .dataset import GREEDY, PROMPT, SAMPLED
from .errors import TrainError
from .prompt_source import ANSWERING, ASKING, OPENING, WRITING, Prompt
from .vocabulary import choosable, encode, end_ids
from .writer import MIN_P, OPENING_TOKENS, QUESTION_TOKENS, Written


def is_installed() -> bool:
    return importlib.util.find_spec("orthrus") is not None


def load_engine(model: str) -> Any:
    """The engine on this processor, with the heads that it finds beside the model."""
    try:
        import orthrus
    except ImportError as e:
        raise TrainError(
            "--writer is engine, and the Python package orthrus is not installed; torch is the "
            "other one."
        ) from e
    try:
        return orthrus.Engine(model, device="cpu")
    except orthrus.Error as e:
        raise TrainError(f"{model}: the engine cannot load it: {e}") from e


@dataclass
class _Sequence:
    prompt: Prompt
    temperature: float
    seed: str
    tokens: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)

    def append(self, tokens: Sequence[int], label: int) -> None:
        self.tokens += tokens
        self.own += [label] * len(tokens)


class EngineWriter:
    """Like Writer. `engine` is an orthrus.Engine of the same model, or what answers as it does."""

    def __init__(self, base: Base, engine: Any, batch: int, length: int) -> None:
        c = base.config
        self.engine, self.batch, self.length = engine, batch, length
        self.ends = end_ids(base.tokenizer, c.eos_ids)
        allowed = choosable(base.tokenizer, c.vocab_size, c.eos_ids)
        self.bias = {int(i): -math.inf for i in (~allowed).nonzero()}
        self.has_chat = c.chat != "none"
        end = base.tokenizer.token_to_id(chat.END)
        self.end_of_turn = self.ends[0] if end is None else end
        if self.has_chat:
            self.user_header = encode(base.tokenizer, chat.next_user_header())
            self.answer_headers = [
                encode(base.tokenizer, "\n" + chat.assistant_header(c.chat, thinking))
                for thinking in (False, True)
            ]

    def write(
        self,
        prompts: Sequence[Prompt],
        temperatures: Sequence[float],
        seed: int,
        watch: Callable[[int], None] = lambda count: None,
    ) -> Written:
        """As Writer's: sequences that begin with these prompts, the same for the same arguments."""
        sequences = [
            _Sequence(prompt, temperature, f"{seed}/{row}")
            for row, (prompt, temperature) in enumerate(zip(prompts, temperatures, strict=True))
        ]
        try:
            asyncio.run(self._write_all(sequences, watch))
        except ExceptionGroup as failed:  # one is enough to tell
            raise failed.exceptions[0] from None
        tokens = torch.tensor([s.tokens[: self.length] for s in sequences], dtype=torch.int32)
        own = torch.tensor([s.own[: self.length] for s in sequences], dtype=torch.uint8)
        return Written(tokens, own)

    async def _write_all(self, sequences: list[_Sequence], watch: Callable[[int], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for sequence in sequences:
                tasks.create_task(self._write_one(sequence, watch))

    async def _write_one(self, sequence: _Sequence, watch: Callable[[int], None]) -> None:
        sequence.append(sequence.prompt.ids, PROMPT)
        role = sequence.prompt.role
        began = 0  # where the turn did, its header included
        while len(sequence.tokens) < self.length:
            before = len(sequence.tokens)
            over = await self._write_turn(sequence, role, began)
            watch(len(sequence.tokens) - before)
            began = len(sequence.tokens)
            if not over:
                role = WRITING  # an opening has its length
            elif not self.has_chat:
                role = OPENING
            elif role == ASKING:
                role = ANSWERING
                sequence.append(self.answer_headers[sequence.prompt.thinking], PROMPT)
            else:
                role = ASKING
                sequence.append(self.user_header, PROMPT)

    async def _write_turn(self, sequence: _Sequence, role: int, began: int) -> bool:
        """Goes on until the turn ends: true; or an opening or the sequence has its length."""
        import orthrus

        is_own = role in (ANSWERING, WRITING)
        temperature = sequence.temperature if is_own else 1.0
        at = len(sequence.tokens)
        room = self.length - at
        limits = {ASKING: max(1, QUESTION_TOKENS - (at - began)), OPENING: OPENING_TOKENS}
        limit = min(room, limits.get(role, room))
        digest = hashlib.sha256(f"{sequence.seed}/{at}".encode()).digest()
        # All that a checkpoint may suggest is said: the choices are those of writer.py.
        params = orthrus.SamplingParams(
            max_tokens=limit,
            temperature=temperature,
            top_p=1.0,
            top_k=0,
            min_p=MIN_P if temperature > 0 else 0.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=1.0,
            seed=int.from_bytes(digest[:7], "big"),
            stop_token_ids=self.ends,
            logit_bias=self.bias,
        )
        try:
            generation = await self.engine.agenerate(sequence.tokens, params)
        except orthrus.Error as e:
            raise TrainError(f"the engine failed under way: {e}") from e
        label = (SAMPLED if temperature > 0 else GREEDY) if is_own else PROMPT
        sequence.append(generation.token_ids.tolist(), label)
        if sequence.tokens[-1] in self.ends:
            return True
        if role == ASKING:  # too long: it ends here
            sequence.append([self.end_of_turn], PROMPT)
        return role == ASKING
