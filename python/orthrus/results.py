"""What comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._check import counted
from .errors import DeviceLostError, GenerationError, OutOfMemoryError

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, eq=False)
class Logprobs:
    """Natural logarithms of probabilities, of the logits before penalties, biases and temperature.

    The same numbers in every mode. Of n tokens, each beside the k likeliest in its place.
    """

    chosen: NDArray[np.float32]
    """[n]: of the tokens themselves."""
    top_ids: NDArray[np.int32]
    """[n, k]: the likeliest tokens, the likeliest first."""
    top: NDArray[np.float32]
    """[n, k]: theirs."""


@dataclass(frozen=True, eq=False)
class Step:
    """What one forward pass gave."""

    text: str
    """What became certain of the text; may be empty."""
    token_ids: NDArray[np.int32]
    """[n] int32, n >= 1; read-only, without a copy."""
    drafted: int
    """Drafts that the pass verified; 0 in a plain step."""
    accepted: int
    """How many of the tokens were such drafts."""
    logprobs: Logprobs | None


@dataclass(frozen=True)
class GenerationStats:
    """How a generation was made. Times are seconds."""

    prefill_passes: int
    cached_tokens: int
    """Prompt tokens that the cache still had."""
    ar_passes: int
    """Verify passes and plain steps."""
    diffusion_passes: int
    """Draft passes."""
    cycles: int
    """Of draft, verify, accept."""
    accepted: int
    """Drafts accepted, in all cycles."""
    preemptions: int
    queue_seconds: float
    prefill_seconds: float
    decode_seconds: float
    generated: int
    """Tokens, that which ended the sequence included."""
    acceptance_length: float
    """Accepted drafts a cycle."""
    tokens_per_forward: float
    tokens_per_second: float
    """Of decoding, the first token not counted."""


@dataclass(frozen=True, eq=False)
class Generation:
    """A prompt's continuation."""

    prompt_ids: NDArray[np.int32]
    """[m] int32."""
    token_ids: NDArray[np.int32]
    """[n] int32, read-only, without a copy: the output, the token that ended it included."""
    text: str
    """Of the output, up to a stop string; empty without a tokenizer."""
    finish_reason: FinishReason
    """"stop" (an end token or stop string), "length" (max_tokens or the context), "cancelled"."""
    stop_string: str | None
    """The stop string that ended it; None where a token did, the last of token_ids."""
    seed: int
    """With which it can be had again."""
    logprobs: Logprobs | None
    """Of the n output tokens, where asked for."""
    prompt_logprobs: Logprobs | None
    """Of the m - 1 prompt tokens behind the first, where asked for."""
    stats: GenerationStats
    message: dict[str, Any] | None = None
    """Of a chat: {"role": "assistant", "content": ...} with "reasoning_content" and "tool_calls"
    where there are any, as OpenAI's API has it; ready to be appended to the messages."""
    others: tuple[Generation, ...] = field(default=(), repr=False)

    @property
    def choices(self) -> list[Generation]:
        """All n choices, this one, with the lowest seed, first."""
        return [self, *self.others]


def logprobs_of(flat: _native.FlatLogprobs) -> Logprobs:
    return Logprobs(*flat)


def step_of(native: _native.StepTuple) -> Step:
    text, token_ids, drafted, accepted, flat = native
    return Step(text, token_ids, drafted, accepted, None if flat is None else logprobs_of(flat))


def generation_of(
    native: _native.Result, prompt_ids: NDArray[np.int32], options: _native.Options
) -> Generation:
    """Raises GenerationError where it failed."""
    failed = native.finish_reason == "failed"
    generation = Generation(
        prompt_ids=prompt_ids,
        token_ids=native.token_ids,
        text=native.text,
        finish_reason="cancelled" if failed else native.finish_reason,  # type: ignore[arg-type]
        stop_string=native.stop_string or None,
        seed=options.seed,
        logprobs=None if options.logprobs is None else logprobs_of(native.logprobs),
        prompt_logprobs=(
            None if options.prompt_logprobs is None else logprobs_of(native.prompt_logprobs)
        ),
        stats=GenerationStats(**native.stats),
    )
    if failed:
        kinds = {"out_of_memory": OutOfMemoryError, "device_lost": DeviceLostError}
        kind: type[GenerationError] = kinds.get(native.status, GenerationError)
        count = counted(len(generation.token_ids), "token")
        raise kind(f"Generation failed after {count}: {native.status_text}.", generation)
    return generation
