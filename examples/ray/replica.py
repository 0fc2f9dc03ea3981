"""A replica: an engine of its own, which answers one request at a time or many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orthrus

# What a request may say of its sampling, by OpenAI's and vLLM's names.
SAMPLING = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "stop_token_ids",
    "ignore_eos", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias",
)  # fmt: skip


class Replica:
    """`options` are orthrus.Engine's."""

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        self.engine = orthrus.Engine(model, **options)

    def check_health(self) -> None:
        """Raises where the engine is of no use any more, and Serve starts another replica."""
        self.engine.load()

    async def answer(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Pieces {"text"}, then {"finish_reason", "message", "seed", "usage"}; or {"error"} alone.

        The request has "messages" or "prompt", and a seed: what it gives is then the same on every
        replica. When the caller goes away the engine stops working on it.
        """
        try:
            stream = self._stream(request)
        except (ValueError, TypeError) as error:
            yield {"error": str(error)}
            return
        # Thinking and calls of tools are taken apart at the end, and no pieces are sent before.
        whole = bool(request.get("tools")) or "thinking" in self._mode(request)
        async for step in stream:
            if step.text and not whole:
                yield {"text": step.text}
        generation = stream.generation
        assert generation is not None
        yield {
            "finish_reason": generation.finish_reason,
            "message": generation.message,
            "whole": whole,
            "text": generation.text,
            "seed": generation.seed,
            "usage": {
                "prompt_tokens": len(generation.prompt_ids),
                "completion_tokens": len(generation.token_ids),
                "total_tokens": len(generation.prompt_ids) + len(generation.token_ids),
                "prompt_tokens_details": {"cached_tokens": generation.stats.cached_tokens},
            },
        }

    def _mode(self, request: dict[str, Any]) -> str:
        chat_format = self.engine.config.chat_format
        thinks = chat_format == "qwen3" and request.get("enable_thinking", True)
        return "thinking" if thinks and "messages" in request else chat_format

    def _stream(self, request: dict[str, Any]) -> orthrus.AsyncStream:
        fields = {name: request[name] for name in SAMPLING if request.get(name) is not None}
        biases = fields.get("logit_bias")
        if isinstance(biases, dict):  # JSON's keys are texts
            fields["logit_bias"] = {int(token): bias for token, bias in biases.items()}
        params = orthrus.SamplingParams(**fields)
        if "messages" in request:
            return self.engine.achat(
                request["messages"],
                params,
                tools=request.get("tools"),
                enable_thinking=request.get("enable_thinking", True),
                stream=True,
            )
        return self.engine.astream(request["prompt"], params)
