"""Loading a model and generating from it."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from . import _check, _native
from ._check import Prompt, TokenIds
from ._asked import Asked, asked_chat, asked_of, one_asked, single
from ._job import Job, interpreter_ends, run, run_in_loop
from .chat import Message, Tool
from .config import EngineLoad, ModelConfig, model_config
from .errors import FileError, ModelNotFoundError, UsageError
from .params import RequestSettings, SamplingParams
from .results import Generation
from .session import Session
from .streams import AsyncStream, Stream
from .tokenizer import Tokenizer, format_of

Params = SamplingParams | Sequence[SamplingParams] | None
WeightType = Literal["f32", "f16", "bf16", "q8_0", "native"]


class Engine:
    """A loaded model. Threads and coroutines share its passes, and each gets what it would alone.

    model: a GGUF file, or a directory in the Hugging Face layout.
    heads: the diffusion view's attention, for a model without; by default the file beside the
        model, which "none" leaves out.
    device: "cpu" (as for the command), "cuda", "cuda:N", or "auto", CUDA where there is some.
    weights, draft_weights, kv_cache: types in memory; by default "native", what the file holds,
        the same, and "f32" on the processor, "bf16" on a CUDA device. Exactness holds within each.
    threads: 0 is the physical cores that this process may use.
    cache_memory: bytes for keys and values; 0: what holds the longest context, and 65,536
        positions where there is room.
    max_batch: most requests that share a pass; 0: what suits the device.
    chat_format: "qwen3" or another that the engine knows, of a model whose own template it does
        not know; by default the model's.
    on_load: called now and then as on_load(stage, done, total), stage being "checking" or
        "converting".

    The GIL is released while it loads and computes. Ctrl-C ends a wait, and what was waited for.
    A forked process cannot use it: load the model there, or start processes by "spawn".
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        heads: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        weights: WeightType | None = None,
        draft_weights: WeightType | None = None,
        kv_cache: Literal["f32", "bf16"] | None = None,
        threads: int = 0,
        cache_memory: int = 0,
        max_batch: int = 0,
        chat_format: str | None = None,
        on_load: Callable[[str, int, int], object] | None = None,
    ) -> None:
        path = _check.path("model", model)
        heads_path = None if heads is None else _check.path("heads", heads)
        try:
            own_format = format_of(path, chat_format)
            self._native = _native.load_engine(
                path,
                heads_path,
                _check.text("device", device),
                None if weights is None else _check.text("weights", weights),
                None if draft_weights is None else _check.text("draft_weights", draft_weights),
                None if kv_cache is None else _check.text("kv_cache", kv_cache),
                _check.integer("threads", threads, 0, 1024),
                _check.integer("cache_memory", cache_memory, 0, 2**63 - 1),
                _check.integer("max_batch", max_batch, 0, _check.INT_MAX),
                on_load,
            )
        except FileError as error:
            missing = [p for p in (path, heads_path) if p and p != "none" and not os.path.exists(p)]
            if missing:
                raise ModelNotFoundError(str(error)) from None
            raise
        self.config: ModelConfig = model_config(
            self._native.config(),
            self._native.generation(),
            own_format,
            self._native.has_tokenizer(),
        )
        """What the model is, and how it was loaded."""
        for warning in self.config.warnings:
            warnings.warn(warning, stacklevel=2)

    def __repr__(self) -> str:
        c = self.config
        state = "closed" if self.closed else c.device
        return f"<orthrus.Engine {c.name or c.architecture!r} on {state}>"

    # One prompt, or many.

    @overload
    def generate(  # type: ignore[overload-overlap]
        self, prompts: str | TokenIds, params: SamplingParams | None = None, *,
        priority: int = 0, cache_salt: str = "",
    ) -> Generation: ...  # fmt: skip

    @overload
    def generate(
        self, prompts: Sequence[Prompt], params: Params = None, *,
        priority: int = 0, cache_salt: str = "",
    ) -> list[Generation]: ...  # fmt: skip

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: Params = None,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> Generation | list[Generation]:
        """Continues a prompt, a text or token ids; or a list of prompts, which share passes.

        params: of all, or a list with those of each; None is what the checkpoint suggests.
        priority: lower ones begin earlier. cache_salt: cached prompts are shared within one.
        Raises UsageError for what is invalid, GenerationError for what failed under way.
        """
        asked, one = asked_of(self, prompts, params, RequestSettings(priority, cache_salt))
        generations = run(self._native, asked)
        return generations[0] if one else generations

    @overload
    def agenerate(  # type: ignore[overload-overlap]
        self, prompts: str | TokenIds, params: SamplingParams | None = None, *,
        priority: int = 0, cache_salt: str = "",
    ) -> Coroutine[Any, Any, Generation]: ...  # fmt: skip

    @overload
    def agenerate(
        self, prompts: Sequence[Prompt], params: Params = None, *,
        priority: int = 0, cache_salt: str = "",
    ) -> Coroutine[Any, Any, list[Generation]]: ...  # fmt: skip

    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: Params = None,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> Generation | list[Generation]:
        """The same within an event loop. Cancelled with its task."""
        asked, one = asked_of(self, prompts, params, RequestSettings(priority, cache_salt))
        generations = await run_in_loop(self._native, asked)
        return generations[0] if one else generations

    def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> Stream:
        """Continues one prompt, pass by pass."""
        asked = single(one_asked(self, prompt, params, RequestSettings(priority, cache_salt)))
        return Stream(Job(self._native, asked, 0, steps=True))

    def astream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> AsyncStream:
        """The same within an event loop: `async for step in engine.astream(prompt)`."""
        asked = single(one_asked(self, prompt, params, RequestSettings(priority, cache_salt)))
        return AsyncStream(Job(self._native, asked, 0, steps=True, in_loop=True))

    # Chats.

    @overload
    def chat(
        self, messages: Sequence[Message], params: SamplingParams | None = None, *,
        tools: Sequence[Tool] | None = None, enable_thinking: bool = True,
        continue_final_message: bool = False, stream: Literal[False] = False,
        priority: int = 0, cache_salt: str = "",
    ) -> Generation: ...  # fmt: skip

    @overload
    def chat(
        self, messages: Sequence[Message], params: SamplingParams | None = None, *,
        tools: Sequence[Tool] | None = None, enable_thinking: bool = True,
        continue_final_message: bool = False, stream: Literal[True],
        priority: int = 0, cache_salt: str = "",
    ) -> Stream: ...  # fmt: skip

    def chat(
        self,
        messages: Sequence[Message],
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Tool] | None = None,
        enable_thinking: bool = True,
        continue_final_message: bool = False,
        stream: bool = False,
        priority: int = 0,
        cache_salt: str = "",
    ) -> Generation | Stream:
        """Answers a chat in the model's format; messages and tools are OpenAI's.

        The answer's `text` is as the model wrote it, its `message` with thinking and calls of
        tools taken apart. continue_final_message: go on with the assistant's last message.
        """
        settings = RequestSettings(priority, cache_salt)
        asked = asked_chat(
            self, messages, params, tools, enable_thinking, continue_final_message, settings
        )
        if stream:
            return Stream(Job(self._native, single(asked), 0, steps=True))
        return run(self._native, [asked])[0]

    @overload
    def achat(
        self, messages: Sequence[Message], params: SamplingParams | None = None, *,
        tools: Sequence[Tool] | None = None, enable_thinking: bool = True,
        continue_final_message: bool = False, stream: Literal[False] = False,
        priority: int = 0, cache_salt: str = "",
    ) -> Coroutine[Any, Any, Generation]: ...  # fmt: skip

    @overload
    def achat(
        self, messages: Sequence[Message], params: SamplingParams | None = None, *,
        tools: Sequence[Tool] | None = None, enable_thinking: bool = True,
        continue_final_message: bool = False, stream: Literal[True],
        priority: int = 0, cache_salt: str = "",
    ) -> AsyncStream: ...  # fmt: skip

    def achat(
        self,
        messages: Sequence[Message],
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Tool] | None = None,
        enable_thinking: bool = True,
        continue_final_message: bool = False,
        stream: bool = False,
        priority: int = 0,
        cache_salt: str = "",
    ) -> Coroutine[Any, Any, Generation] | AsyncStream:
        """The same within an event loop: `await engine.achat(messages)`, or with stream=True
        `async for step in engine.achat(messages, stream=True)`."""
        settings = RequestSettings(priority, cache_salt)
        asked = asked_chat(
            self, messages, params, tools, enable_thinking, continue_final_message, settings
        )
        if stream:
            return AsyncStream(Job(self._native, single(asked), 0, steps=True, in_loop=True))
        return self._first_of(asked)

    def session(
        self,
        *,
        system: str | None = None,
        params: SamplingParams | None = None,
        tools: Sequence[Tool] | None = None,
        enable_thinking: bool = True,
    ) -> Session:
        """A conversation that remembers its messages."""
        return Session(
            self, system=system, params=params, tools=tools, enable_thinking=enable_thinking
        )

    # Scores.

    @overload
    def score(self, tokens: TokenIds, *, first: int = 1) -> NDArray[np.float32]: ...

    @overload
    def score(self, tokens: Sequence[TokenIds], *, first: int = 1) -> list[NDArray[np.float32]]: ...

    def score(
        self, tokens: TokenIds | Sequence[TokenIds], *, first: int = 1
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Natural logarithms of the probabilities of tokens[first:], each after all before it.

        [len(tokens) - first] float32, at temperature 1 and without penalties; of a list of texts,
        which share passes, a list. A text has 2..max_position_embeddings - 1 tokens.
        """
        one = _check.is_ids(tokens)
        texts = [
            _check.token_ids(f"tokens[{i}]", text)
            for i, text in enumerate([tokens] if one else tokens)
        ]
        for i, text in enumerate(texts):
            if len(text) < 2:
                raise UsageError(f"tokens[{i}] has length {len(text)}; scoring needs at least 2 tokens.")
            _check.integer("first", first, 1, len(text) - 1)
        scored: list[NDArray[np.float32]] = []
        for generation in self.generate(texts, _SCORING):
            assert generation.prompt_logprobs is not None
            scored.append(generation.prompt_logprobs.chosen[first - 1 :])
        return scored[0] if one else scored

    # What it is, and what it does.

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises UsageError where the model comes without one."""
        if not self.config.has_tokenizer:
            raise UsageError("This model comes without a tokenizer; give token ids.")
        return Tokenizer._of(self._native.tokenizer(), self.config.chat_format)

    def load(self) -> EngineLoad:
        """How busy it is."""
        return EngineLoad(**self._native.load())

    @property
    def closed(self) -> bool:
        return self._native.closed()

    def close(self) -> None:
        """Cancels what is not done, which is a GenerationError to those who wait for it, and gives
        the memory back. Afterwards all is a UsageError."""
        self._native.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _first_of(self, asked: Asked) -> Generation:
        return (await run_in_loop(self._native, [asked]))[0]


_SCORING = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, mode="ar")


# The interpreter may end before its variables: no pass must run in what is being taken down.
@atexit.register
def _close_all() -> None:
    interpreter_ends()
    _native.close_all()
    _native.await_released()
