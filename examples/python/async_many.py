"""Many requests in one event loop, which share passes: python async_many.py MODEL PROMPT..."""

import asyncio
import sys

import orthrus


async def answer(engine: orthrus.Engine, number: int, prompt: str) -> None:
    params = orthrus.SamplingParams(max_tokens=64, temperature=0.7, seed=number)
    text = ""
    async for step in engine.astream(prompt, params):
        text += step.text
    print(f"--- {number}: {prompt}{text}")


async def main(model: str, prompts: list[str]) -> None:
    with orthrus.Engine(model) as engine:
        await asyncio.gather(*(answer(engine, i, prompt) for i, prompt in enumerate(prompts)))


if len(sys.argv) < 3:
    print("usage: python async_many.py MODEL PROMPT...", file=sys.stderr)
    sys.exit(2)
asyncio.run(main(sys.argv[1], sys.argv[2:]))
