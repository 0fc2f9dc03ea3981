"""A conversation."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import _check
from .chat import Message, Tool
from .errors import UsageError
from .params import SamplingParams
from .results import Generation
from .streams import Stream

if TYPE_CHECKING:
    from .engine import Engine


class Session:
    """A conversation that remembers its messages. Made by `engine.session()`.

    The engine's cache has the keys and values of what was said before, so that only what is new
    is computed. One answer at a time; any number of sessions at once.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        system: str | None = None,
        params: SamplingParams | None = None,
        tools: Sequence[Tool] | None = None,
        enable_thinking: bool = True,
    ) -> None:
        self._engine = engine
        self._params = params
        self._tools = tools
        self._enable_thinking = enable_thinking
        self._busy = threading.Lock()
        self._stream: weakref.ref[Stream] | None = None  # the last one
        self.messages: list[dict[str, Any]] = []
        """All so far, as OpenAI's API has them. Edit it as you like between answers."""
        if system is not None:
            self.messages.append({"role": "system", "content": _check.text("system", system)})

    def chat(self, message: str | Message, params: SamplingParams | None = None) -> Generation:
        """The answer to the user's text, or to a message of any role; both are remembered."""
        with self._alone():
            messages = [*self.messages, _message_of(message)]
            generation = self._engine.chat(
                messages,
                params or self._params,
                tools=self._tools,
                enable_thinking=self._enable_thinking,
            )
            self._remember(messages, generation)
            return generation

    def stream(self, message: str | Message, params: SamplingParams | None = None) -> Stream:
        """The same, read while it is written. Remembered when the stream has ended or is closed."""
        with self._alone():
            messages = [*self.messages, _message_of(message)]
            stream = self._engine.chat(
                messages,
                params or self._params,
                tools=self._tools,
                enable_thinking=self._enable_thinking,
                stream=True,
            )
            stream._on_end = lambda generation: self._remember(messages, generation)
            self._stream = weakref.ref(stream)
            return stream

    def _remember(self, messages: list[dict[str, Any]], generation: Generation) -> None:
        assert generation.message is not None
        self.messages = [*messages, generation.message]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise UsageError("This session is answering; another one can be used meanwhile.")
        try:
            stream = None if self._stream is None else self._stream()
            if stream is not None and not stream.closed:
                raise UsageError("A stream of this session has not ended: read all of it or close it.")
            yield
        finally:
            self._busy.release()


def _message_of(message: str | Message) -> dict[str, Any]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if not isinstance(message, Mapping):
        raise TypeError(f"message is {message!r}; it must be a str or a dict")
    return dict(message)
