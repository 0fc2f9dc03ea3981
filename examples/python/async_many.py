"""Many requests in one event loop, which share passes: python async_many.py MODEL PROMPT..."""

import argparse
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


parser = argparse.ArgumentParser("python async_many.py", description=__doc__)
parser.add_argument("model", metavar="MODEL")
parser.add_argument("prompts", metavar="PROMPT", nargs="+")
arguments = parser.parse_args()
try:
    asyncio.run(main(arguments.model, arguments.prompts))
except orthrus.Error as error:
    sys.exit(f"async_many.py: {error}")
