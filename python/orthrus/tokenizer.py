"""Texts to token ids and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from . import _check, _native
from .chat import Message, Tool, render
from .errors import FileError, ModelNotFoundError


def format_of(model: str, chosen: str | None) -> str:
    """The name of the chat format to use. Raises UsageError for one that there is not."""
    if chosen is None:
        return _native.detect_chat_format(model)
    return _native.chat_format_named(_check.text("chat_format", chosen))


class Tokenizer:
    """The tokenizer of a model, a directory or a GGUF file, loaded without its weights.

    `engine.tokenizer` is the engine's own. Thread-safe; long texts are encoded without the GIL.
    """

    def __init__(self, model: str | os.PathLike[str], *, chat_format: str | None = None) -> None:
        path = _check.path("model", model)
        try:
            self._native = _native.Tokenizer(path)
            self.chat_format: str = format_of(path, chat_format)
        except FileError as error:
            if not os.path.exists(path):
                raise ModelNotFoundError(str(error)) from None
            raise

    @classmethod
    def _of(cls, native: _native.Tokenizer, chat_format: str) -> Tokenizer:
        tokenizer = cls.__new__(cls)
        tokenizer._native = native
        tokenizer.chat_format = chat_format
        return tokenizer

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return self._native.vocab_size()

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str, *, add_special_tokens: bool = True) -> NDArray[np.int32]:
        """[n] int32. Special tokens by name ("<|im_end|>") become their ids.

        add_special_tokens: before them comes the token that every prompt begins with, where the
        model has one (Qwen's have none).
        """
        return self._native.encode(_check.text("text", text), add_special_tokens)

    def decode(self, token_ids: _check.TokenIds, *, skip_special_tokens: bool = False) -> str:
        """Text of the ids; bytes that are no UTF-8 become U+FFFD, ids outside are left out."""
        return self._native.decode(_check.token_ids("token_ids", token_ids), skip_special_tokens)

    def token_to_id(self, token: str) -> int | None:
        """Of a special token by its name, or of a text that is one token; else None."""
        added = self._native.find_added(_check.text("token", token))
        if added is not None:
            return added
        ids = self._native.encode(token, False)
        return int(ids[0]) if len(ids) == 1 else None

    def id_to_bytes(self, token_id: int) -> bytes:
        """What the token stands for, which need not be whole characters; b"" outside."""
        return self._native.token_bytes(_check.integer("token_id", token_id, 0, _check.INT_MAX))

    def is_special(self, token_id: int) -> bool:
        return self._native.is_special(_check.integer("token_id", token_id, 0, _check.INT_MAX))

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Names and ids of the tokens that are not text."""
        return {
            self._native.token_bytes(i).decode(): i
            for i in range(self.vocab_size)
            if self._native.is_special(i)
        }

    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: Literal[True] = True,
        tools: Sequence[Tool] | None = None,
        add_generation_prompt: bool = True,
        enable_thinking: bool = True,
        continue_final_message: bool = False,
    ) -> NDArray[np.int32]: ...

    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: Literal[False],
        tools: Sequence[Tool] | None = None,
        add_generation_prompt: bool = True,
        enable_thinking: bool = True,
        continue_final_message: bool = False,
    ) -> str: ...

    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tokenize: bool = True,
        tools: Sequence[Tool] | None = None,
        add_generation_prompt: bool = True,
        enable_thinking: bool = True,
        continue_final_message: bool = False,
    ) -> NDArray[np.int32] | str:
        """What the model's chat template gives: [n] int32, or with tokenize=False the text.

        messages and tools are OpenAI's: {"role": "user", "content": "Hello"}.
        """
        text = render(
            self.chat_format,
            messages,
            tools=tools,
            add_generation_prompt=add_generation_prompt and not continue_final_message,
            enable_thinking=enable_thinking,
            continue_final_message=continue_final_message,
        )
        return self._native.encode(text, True) if tokenize else text
