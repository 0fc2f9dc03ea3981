"""OpenAI's API over replicas of the engine: serve run app:app model=/path/to/model.gguf

replicas=1:8    least and most, by how many requests wait for each; or one number
queue=4         requests that a replica should have; it may have four times as many
cpus=4          of each replica, and threads of its engine; gpus=1 for CUDA
Any other NAME=VALUE is orthrus.Engine's: heads=, weights=, kv_cache=, chat_format=.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from openai_forms import finish_reason, last_of, mapping, new_head, read, refusal, whole_answer
from prefix_router import PrefixRouter
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from replica import Replica

logger = logging.getLogger("ray.serve")
routes = FastAPI(title="orthrus on Ray")
TRIES = 5  # of a request whose replica dies


@serve.deployment
@serve.ingress(routes)
class OpenAI:
    """Keeps nothing but the seeds that it draws, so that any other answer can take an answer's place.

    A replica's death is not seen from outside: another one computes the same tokens, and what the
    client has of them already is left out.
    """

    def __init__(self, replicas: DeploymentHandle, model: str) -> None:
        self._replicas = replicas.options(stream=True)
        self._model = model

    @routes.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": self._model, "object": "model", "owned_by": ""}]}

    @routes.post("/v1/chat/completions")
    async def chat(self, request: Request) -> Response:
        return await self._complete(request, "chat.completion")

    @routes.post("/v1/completions")
    async def complete(self, request: Request) -> Response:
        return await self._complete(request, "text_completion")

    async def _complete(self, request: Request, kind: str) -> Response:
        try:
            body = await request.json()
            asked = read(body, kind)
        except ValueError as error:
            return refusal(str(error))
        pieces = [self._pieces(choice) for choice in asked]
        if body.get("stream"):
            first = await anext(pieces[0])
            if "error" in first:
                return refusal(first["error"])
            return StreamingResponse(
                self._events(body, kind, first, pieces[0]), media_type="text/event-stream"
            )
        ends = await asyncio.gather(*(last_of(choice) for choice in pieces))
        for end in ends:
            if "error" in end:
                return refusal(end["error"])
        return JSONResponse(whole_answer(self._model, kind, ends))

    async def _pieces(self, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Of an answer, from one replica or several."""
        sent = 0  # characters
        for left in reversed(range(TRIES)):
            seen = 0
            try:
                async for piece in self._replicas.answer.remote(asked):
                    if "finish_reason" not in piece and "error" not in piece:
                        new = piece["text"][max(0, sent - seen) :]
                        seen += len(piece["text"])
                        sent = max(sent, seen)
                        if not new:
                            continue
                        piece = {"text": new}
                    yield piece
                return
            except (RayActorError, DeploymentUnavailableError) as error:
                if left == 0:
                    raise
                logger.warning("a replica died after %d characters: %s", sent, error)
                await asyncio.sleep(0.2 * (TRIES - left))

    async def _events(
        self,
        body: dict[str, Any],
        kind: str,
        first: dict[str, Any],
        rest: AsyncIterator[dict[str, Any]],
    ) -> AsyncIterator[str]:
        head = new_head(self._model, kind + ".chunk" if kind[0] == "c" else kind)

        def event(choice: dict[str, Any], **more: Any) -> str:
            chunk = {**head, "choices": [{"index": 0, "finish_reason": None, **choice}], **more}
            return f"data: {json.dumps(chunk)}\n\n"

        def part(text: str) -> dict[str, Any]:
            return {"delta": {"content": text}} if kind[0] == "c" else {"text": text}

        if kind[0] == "c":
            yield event({"delta": {"role": "assistant", "content": ""}})
        piece: dict[str, Any] | None = first
        try:
            while piece is not None and "finish_reason" not in piece:
                yield event(part(piece["text"]))
                piece = await anext(rest, None)
            assert piece is not None
            end = part("")
            if piece["whole"]:
                end = {"delta": {k: v for k, v in piece["message"].items() if k != "role"}}
            end["finish_reason"] = finish_reason(piece)
            more = {"orthrus": {"seed": piece["seed"]}}
            if mapping(body, "stream_options").get("include_usage"):
                more["usage"] = piece["usage"]
            yield event(end, **more)
        except Exception as error:
            logger.exception("an answer broke off")
            yield f"data: {json.dumps({'error': {'message': str(error), 'type': 'server_error'}})}\n\n"
        yield "data: [DONE]\n\n"


def app(arguments: dict[str, str]) -> serve.Application:
    options: dict[str, Any] = {
        name: int(value) if str(value).isdecimal() else value for name, value in arguments.items()
    }
    model = options.pop("model", "")
    if not model:
        raise ValueError("the model is missing: serve run app:app model=/path/to/model.gguf")
    least, _, most = str(options.pop("replicas", "1")).partition(":")
    queue, cpus = options.pop("queue", 4), options.pop("cpus", 1)
    gpus = float(options.pop("gpus", 0))
    options |= {"threads": cpus, "device": "cuda" if gpus else "cpu"}
    engines = serve.deployment(
        Replica,
        name="Engine",
        autoscaling_config={
            "min_replicas": int(least),
            "max_replicas": int(most or least),
            "target_ongoing_requests": queue,
        },
        max_ongoing_requests=4 * queue,
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        request_router_config=RequestRouterConfig(request_router_class=PrefixRouter),
        health_check_period_s=5,
    )
    served = OpenAI.options(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    return served.bind(engines.bind(model, options), model.rstrip("/").rsplit("/", 1)[-1])
