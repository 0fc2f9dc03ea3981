"""Chats to prompts, and answers to messages, as OpenAI's API has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from . import _check, _native
from .errors import UsageError

Message: TypeAlias = Mapping[str, Any]
Tool: TypeAlias = Mapping[str, Any]


def render(
    chat_format: str,
    messages: Sequence[Message],
    *,
    tools: Sequence[Tool] | None,
    add_generation_prompt: bool,
    enable_thinking: bool,
    continue_final_message: bool,
) -> str:
    """The prompt's text."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise TypeError(
            f"messages is {messages!r}; it must be a list of messages, "
            'as [{"role": "user", "content": "Hello"}]'
        )
    if add_generation_prompt and continue_final_message:
        raise UsageError("add_generation_prompt and continue_final_message exclude each other.")
    return _native.render_chat(
        chat_format,
        [_message(f"messages[{i}]", message) for i, message in enumerate(messages)],
        [_json(f"tools[{i}]", tool) for i, tool in enumerate(tools or ())],
        add_generation_prompt,
        _check.boolean("enable_thinking", enable_thinking),
        continue_final_message,
    )


def names_of(tools: Sequence[Tool] | None) -> list[str]:
    """Of {"type": "function", "function": {"name": ...}}."""
    names = []
    for i, tool in enumerate(tools or ()):
        function = _mapping(f"tools[{i}]", tool).get("function")
        function = _mapping(f"tools[{i}].function", function)
        names.append(_check.text(f"tools[{i}].function.name", function.get("name")))
    return names


def read_answer(chat_format: str, prompt: str, answer: str, tools: list[str]) -> dict[str, Any]:
    """The assistant's message."""
    reasoning, content, calls = _native.parse_answer(chat_format, prompt, answer, tools)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in calls
        ]
    return message


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {value!r}; it must be a dict")
    return value


def _json(name: str, value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON: {error}.") from None
    return _check.text(name, text)


def _message(name: str, value: object) -> _native.MessageTuple:
    message = _mapping(name, value)
    role = _check.text(f"{name}: role", message.get("role"))
    content = _content(f"{name}: content", message.get("content"))
    if role != "assistant":
        return role, content, None, []
    reasoning = message.get("reasoning_content", message.get("reasoning"))
    if reasoning is not None:
        reasoning = _check.text(f"{name}: reasoning_content", reasoning)
    calls = [
        _call(f"{name}: tool_calls[{i}]", call)
        for i, call in enumerate(message.get("tool_calls") or ())
    ]
    return role, content, reasoning, calls


def _content(name: str, value: object) -> str:
    """Parts are lines of one text."""
    if value is None:
        return ""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _check.text(name, value)
    lines = []
    for i, part in enumerate(value):
        fields = _mapping(f"{name}[{i}]", part)
        if fields.get("type") != "text":
            raise UsageError(
                f"{name}[{i}]: type is {fields.get('type')!r}; valid is 'text': "
                "this model reads texts only."
            )
        lines.append(_check.text(f"{name}[{i}]: text", fields.get("text")))
    return "\n".join(lines)


def _call(name: str, value: object) -> tuple[str, str]:
    function = _mapping(f"{name}.function", _mapping(name, value).get("function"))
    arguments = function.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = _json(f"{name}.function.arguments", arguments)
    return (
        _check.text(f"{name}.function.name", function.get("name")),
        _check.text(f"{name}.function.arguments", arguments),
    )
