"""Requests and answers in OpenAI's form."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import JSONResponse


# What would change an answer and is not here, with the value that asks for nothing.
NOT_HERE: dict[str, Any] = {
    "logprobs": False,
    "echo": False,
    "suffix": "",
    "best_of": 1,
    "tool_choice": "auto",
    "functions": [],
    "response_format": {"type": "text"},
}


def read(body: object, kind: str) -> list[dict[str, Any]]:
    """What replicas are asked for, each choice by itself. Raises ValueError."""
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    needed = "messages" if kind[0] == "c" else "prompt"
    if needed not in body:
        raise ValueError(f"{needed} is missing.")
    if needed == "messages" and not isinstance(body["messages"], list):
        raise ValueError(f"messages is {type(body['messages']).__name__}; it must be a list.")
    n = 1 if body.get("n") is None else body["n"]
    if not isinstance(n, int) or not 1 <= n <= 128:
        raise ValueError(f"n is {n!r}; valid is 1 to 128.")
    if body.get("stream") and n > 1:
        raise ValueError("A stream has one choice: n must be 1.")
    for name, nothing in NOT_HERE.items():
        if body.get(name) not in (None, nothing):
            raise ValueError(f"{name} is {body[name]!r}; it must be {nothing!r}, or left out.")
    asked = dict(body)
    asked.pop("prompt" if kind[0] == "c" else "messages", None)
    if body.get("max_completion_tokens") is not None:
        asked["max_tokens"] = body["max_completion_tokens"]
    if asked.get("max_tokens") is None:
        asked["max_tokens"] = 2**31 - 1 if kind[0] == "c" else 16
    mapping(body, "stream_options")
    thinking = mapping(body, "chat_template_kwargs").get("enable_thinking")
    if thinking is not None:
        asked["enable_thinking"] = thinking
    # Drawn here, so that any replica gives the same answer.
    seed = secrets.randbits(32) if body.get("seed") is None else body["seed"]
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed!r}; valid is 0 to {2**64 - 1}.")
    return [{**asked, "seed": (seed + i) % 2**64} for i in range(n)]


def mapping(body: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; an empty one where it is left out. Raises ValueError."""
    value = {} if body.get(name) is None else body[name]
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r}; it must be an object.")
    return value


async def last_of(pieces: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    piece: dict[str, Any] = {}
    async for piece in pieces:
        pass
    return piece


def new_head(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(12),
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def finish_reason(end: dict[str, Any]) -> str:
    calls = bool(end["message"]) and "tool_calls" in end["message"]
    return "tool_calls" if calls and end["finish_reason"] == "stop" else str(end["finish_reason"])


def whole_answer(model: str, kind: str, ends: list[dict[str, Any]]) -> dict[str, Any]:
    choices = [
        {
            "index": i,
            "finish_reason": finish_reason(end),
            **({"message": end["message"]} if kind[0] == "c" else {"text": end["text"]}),
        }
        for i, end in enumerate(ends)
    ]
    usage = dict(ends[0]["usage"])
    usage["completion_tokens"] = sum(end["usage"]["completion_tokens"] for end in ends)
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return {
        **new_head(model, kind),
        "choices": choices,
        "usage": usage,
        "orthrus": {"seed": ends[0]["seed"]},
    }


def refusal(message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, 400)
