"""The same ids as the command line, whichever way they are asked for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orthrus
import pytest
from conftest import PROMPT

TOKENS = 48
CASES = {
    "greedy": {},
    "seed 3": {"temperature": 0.8, "seed": 3},
    "filters": {"temperature": 1.1, "top_k": 40, "top_p": 0.9, "min_p": 0.02, "seed": 2**64 - 1},
    "penalties": {"temperature": 0.7, "repetition_penalty": 1.2, "frequency_penalty": 0.5,
                  "presence_penalty": -0.25, "seed": 11},
}  # fmt: skip
MODES = ["ar", "dual", "auto"]


def params(case: str, mode: str) -> orthrus.SamplingParams:
    return orthrus.SamplingParams(max_tokens=TOKENS, mode=mode, **CASES[case])


@pytest.fixture(scope="module")
def expected(command):
    answers = {}
    for case, fields in CASES.items():
        options = [f"--{name.replace('_', '-')}={value}" for name, value in fields.items()]
        answers[case] = command("-p", PROMPT, "-n", str(TOKENS), *options)
    return answers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_generate(engine, expected, case, mode):
    generation = engine.generate(PROMPT, params(case, mode))
    answer = expected[case]
    assert generation.token_ids.tolist() == answer["output_ids"]
    assert generation.prompt_ids.tolist() == answer["prompt_ids"]
    assert generation.text == answer["text"]
    assert generation.finish_reason == answer["finish_reason"]
    assert generation.seed == answer["seed"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_stream(engine, expected, case, mode):
    stream = engine.stream(PROMPT, params(case, mode))
    ids = [token for step in stream for token in step.token_ids.tolist()]
    assert ids == expected[case]["output_ids"]
    assert stream.generation.token_ids.tolist() == ids


def test_all_ways_at_once(engine, expected):
    """Threads, a batch and coroutines share the passes."""
    wanted = [(case, mode) for case in CASES for mode in MODES]

    def in_thread(asked):
        return list(engine.stream(PROMPT, params(*asked)))

    def in_batch(_):
        return engine.generate([PROMPT] * len(wanted), [params(*asked) for asked in wanted])

    async def in_coroutine(asked):
        return [step async for step in engine.astream(PROMPT, params(*asked))]

    async def in_coroutines():
        return await asyncio.gather(
            *(in_coroutine(asked) for asked in wanted),
            *(engine.agenerate(PROMPT, params(*asked)) for asked in wanted),
        )

    with ThreadPoolExecutor(len(wanted) + 2) as pool:
        coroutines = pool.submit(asyncio.run, in_coroutines())
        batch = pool.submit(in_batch, None)
        threads = list(pool.map(in_thread, wanted))
        streamed, awaited = (
            coroutines.result()[: len(wanted)],
            coroutines.result()[len(wanted) :],
        )
        for i, (case, _) in enumerate(wanted):
            ids = expected[case]["output_ids"]
            for steps in (threads[i], streamed[i]):
                assert [t for step in steps for t in step.token_ids.tolist()] == ids
            assert awaited[i].token_ids.tolist() == ids
            assert batch.result()[i].token_ids.tolist() == ids


def test_choices_are_the_seeds_that_follow(engine):
    sampled = orthrus.SamplingParams(temperature=1, seed=2**64 - 2, n=4, max_tokens=16)
    choices = engine.generate(PROMPT, sampled).choices
    assert [choice.seed for choice in choices] == [2**64 - 2, 2**64 - 1, 0, 1]
    for choice in choices:
        alone = orthrus.SamplingParams(temperature=1, seed=choice.seed, max_tokens=16)
        assert engine.generate(PROMPT, alone).token_ids.tolist() == choice.token_ids.tolist()


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int8])
def test_numpys_numbers(engine, kind):
    ours = orthrus.SamplingParams(temperature=1, seed=7, n=2, max_tokens=6)
    theirs = orthrus.SamplingParams(
        temperature=np.float32(1), seed=kind(7), n=kind(2), max_tokens=kind(6)
    )
    expected = [choice.text for choice in engine.generate(PROMPT, ours).choices]
    assert [choice.text for choice in engine.generate(PROMPT, theirs).choices] == expected


def test_a_drawn_seed_is_told(engine):
    sampled = orthrus.SamplingParams(temperature=1, max_tokens=16)
    first, second = engine.generate([PROMPT, PROMPT], sampled)
    assert first.seed != second.seed
    again = orthrus.SamplingParams(temperature=1, max_tokens=16, seed=first.seed)
    assert engine.generate(PROMPT, again).text == first.text


def test_by_ids(engine, command):
    answer = command("--prompt-ids", "1,2,3", "-n", "8")
    generation = engine.generate([1, 2, 3], orthrus.SamplingParams(max_tokens=8))
    assert generation.token_ids.tolist() == answer["output_ids"]


def test_stop_and_bias(engine, command):
    answer = command("-p", PROMPT, "-n", "60", "--stop", "def ")
    generation = engine.generate(PROMPT, orthrus.SamplingParams(max_tokens=60, stop="def "))
    assert generation.token_ids.tolist() == answer["output_ids"]
    assert generation.text == answer["text"]
    assert (generation.finish_reason, generation.stop_string) == ("stop", "def ")
    forbidden = int(generation.token_ids[0])
    other = orthrus.SamplingParams(max_tokens=8, logit_bias={forbidden: float("-inf")})
    assert forbidden not in engine.generate(PROMPT, other).token_ids
