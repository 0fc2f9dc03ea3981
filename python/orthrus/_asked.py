"""From what callers give to what the extension takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _check, _native, chat
from .errors import UsageError
from .params import RequestSettings, SamplingParams, for_each, native_options, seeded

if TYPE_CHECKING:
    from .engine import Engine


@dataclass(frozen=True)
class Asked:
    """What is to be submitted, checked."""

    prompt_ids: NDArray[np.int32]
    options: list[_native.Options]  # of each choice
    reader: Callable[[str], dict[str, Any]] | None = None  # a chat's answer as a message


def single(asked: Asked) -> Asked:
    if len(asked.options) > 1:
        raise UsageError(f"n is {len(asked.options)}; a stream has one choice.")
    return asked


def one_asked(
    engine: Engine, prompt: object, params: SamplingParams | None, settings: RequestSettings
) -> Asked:
    (one,) = for_each(params, 1)
    return Asked(_prompt_ids(engine, "prompt", prompt), _options(engine, one, settings))


def asked_of(
    engine: Engine,
    prompts: object,
    params: SamplingParams | Sequence[SamplingParams] | None,
    settings: RequestSettings,
) -> tuple[list[Asked], bool]:
    """And whether it is one prompt, not a list of them."""
    if isinstance(prompts, str) or _check.is_ids(prompts):
        if params is not None and not isinstance(params, SamplingParams):
            raise TypeError(f"params is {params!r}; for one prompt it must be SamplingParams")
        return [one_asked(engine, prompts, params, settings)], True
    if isinstance(prompts, bytes) or not isinstance(prompts, Sequence):
        raise TypeError(f"prompts is {prompts!r}; it must be a str, token ids, or a list of these")
    each = for_each(params, len(prompts))
    return [
        Asked(_prompt_ids(engine, f"prompts[{i}]", prompt), _options(engine, own, settings))
        for i, (prompt, own) in enumerate(zip(prompts, each))
    ], False


def asked_chat(
    engine: Engine,
    messages: Sequence[chat.Message],
    params: SamplingParams | None,
    tools: Sequence[chat.Tool] | None,
    enable_thinking: bool,
    continue_final_message: bool,
    settings: RequestSettings,
) -> Asked:
    (own,) = for_each(params, 1)
    names = chat.names_of(tools)
    tokenizer = engine.tokenizer
    text = tokenizer.apply_chat_template(
        messages,
        tokenize=False,
        tools=tools,
        enable_thinking=enable_thinking,
        continue_final_message=continue_final_message,
    )
    reader = partial(_read, engine.config.chat_format, text, names)
    return Asked(tokenizer.encode(text), _options(engine, own, settings), reader)


def _prompt_ids(engine: Engine, name: str, prompt: object) -> NDArray[np.int32]:
    if isinstance(prompt, str):
        return engine.tokenizer.encode(prompt)
    return _check.token_ids(name, prompt)


def _options(
    engine: Engine, params: SamplingParams, settings: RequestSettings
) -> list[_native.Options]:
    params = seeded(params, engine.config)
    return [native_options(params, engine.config, settings, i) for i in range(params.n)]


def _read(chat_format: str, prompt: str, tools: list[str], answer: str) -> dict[str, Any]:
    return chat.read_answer(chat_format, prompt, answer, tools)
