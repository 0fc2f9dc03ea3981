"""Engines that go, processes that fork or end, and memory that comes back."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import orthrus
import pytest
from conftest import LONG, PROMPT, TINY

SHORT = orthrus.SamplingParams(max_tokens=8)


def test_a_stream_keeps_its_engine():
    engine = orthrus.Engine(TINY)
    expected = engine.generate(PROMPT, SHORT).token_ids.tolist()
    stream = engine.stream(PROMPT, SHORT)
    tokenizer = engine.tokenizer
    del engine
    gc.collect()
    assert [t for step in stream for t in step.token_ids.tolist()] == expected
    assert tokenizer.decode(tokenizer.encode(PROMPT)) == PROMPT


def test_closing_ends_streams():
    engine = orthrus.Engine(TINY)
    tokenizer = engine.tokenizer
    told = []

    def generate():
        with pytest.raises(orthrus.GenerationError, match="closed after") as caught:
            engine.generate([PROMPT] * 8, LONG)
        told.append(caught.value)

    waited = threading.Thread(target=generate)
    waited.start()
    while waited.is_alive() and engine.load().running + engine.load().waiting < 8:
        time.sleep(0.01)
    stream = engine.stream(PROMPT, LONG)
    next(stream)
    engine.close()
    waited.join()
    assert len(told) == 1
    with pytest.raises(orthrus.GenerationError, match=r"closed after \d+ tokens? of") as caught:
        list(stream)
    assert caught.value.generation.finish_reason == "cancelled"
    assert len(caught.value.generation.token_ids) > 0
    assert stream.closed and list(stream) == []
    assert engine.closed and "closed" in repr(engine)
    for use in (
        lambda: engine.generate(PROMPT),
        lambda: engine.generate([1, 2, 3]),
        lambda: engine.load(),
        lambda: engine.tokenizer.encode("a"),
        lambda: tokenizer.encode("a"),
    ):
        with pytest.raises(orthrus.UsageError, match="closed"):
            use()
    engine.close()


def test_closing_ends_streams_of_a_loop():
    async def main():
        engine = orthrus.Engine(TINY)
        streams = [engine.astream(PROMPT, LONG) for _ in range(3)]
        for stream in streams:
            await stream.__anext__()
        await streams[1].aclose()
        waited = asyncio.create_task(engine.agenerate(PROMPT, LONG))
        await asyncio.sleep(0.01)
        engine.close()
        with pytest.raises(orthrus.GenerationError, match="closed after"):
            async for _ in streams[0]:
                pass
        await streams[2].aclose()  # who closes it has no need to hear
        assert streams[2].generation.finish_reason == "cancelled"
        with pytest.raises(orthrus.GenerationError, match="closed after"):
            await waited

    asyncio.run(main())


def test_a_forked_process_is_told(engine):
    read, write = os.pipe()
    stream = engine.stream(PROMPT, LONG)
    child = os.fork()
    if child == 0:
        said = ""
        for use in (lambda: engine.generate(PROMPT, SHORT), lambda: list(stream)):
            try:
                use()
            except orthrus.ResourceError as error:
                said += str(error)
        engine.close()
        os.write(write, said.encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 1000).decode().count("forked") == 2
    stream.close()
    os.close(read)
    os.close(write)
    assert len(engine.generate(PROMPT, SHORT).token_ids) == 8


def ids_of(prompt):
    with orthrus.Engine(TINY) as engine:
        return engine.generate(prompt, SHORT).token_ids.tolist()


def test_spawned_processes(engine):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(ids_of, [PROMPT]) == [engine.generate(PROMPT, SHORT).token_ids.tolist()]


LAST_WORDS = {
    "a stream is read": "stream = engine.stream('def', params); next(stream)",
    "a thread waits": "start(lambda: engine.generate(['def'] * 9, params), daemon=False)",
    "threads are left behind": "for _ in range(4): start(lambda: list(engine.stream('def', params)), daemon=True)",
    "a thread loads": """
ready = threading.Event()
def load():
    try:
        while True:
            orthrus.Engine(sys.argv[1], on_load=lambda *_: ready.set())
    except orthrus.ResourceError:
        pass
threading.Thread(target=load, daemon=True).start()
ready.wait()
""",
    "a thread reads what is left of an engine": """
ready = threading.Event()
def read():
    stream = orthrus.Engine(sys.argv[1]).stream('def', params)
    try:
        for step in stream:
            ready.set()
    except orthrus.ResourceError:
        pass
threading.Thread(target=read, daemon=True).start()
ready.wait()
""",
    "a cycle has it": "me = [engine]; me.append(me); stream = engine.stream('def', params); sys.exit(0)",
}


@pytest.mark.parametrize("last_words", LAST_WORDS)
def test_the_interpreter_may_end_meanwhile(last_words):
    code = f"""
import sys, threading, time, orthrus
engine = orthrus.Engine(sys.argv[1])
params = orthrus.SamplingParams(max_tokens=300, ignore_eos=True)
def start(target, daemon):
    before = engine.load().running
    thread = threading.Thread(target=target, daemon=daemon)
    thread.start()
    while thread.is_alive() and engine.load().running == before:  # it may be done already
        time.sleep(0.01)
{LAST_WORDS[last_words]}
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(TINY)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_comes_back(engine):
    asked = orthrus.SamplingParams(max_tokens=4, logprobs=20, prompt_logprobs=20)
    prompt = [7] * 100
    # One that is forgotten goes on for a while; the pages of a long one would be memory, too.
    short = orthrus.SamplingParams(max_tokens=40, ignore_eos=True, mode="ar")

    def call():
        engine.generate([prompt, PROMPT], asked)
        for _ in engine.stream(PROMPT, asked):
            pass
        engine.stream(PROMPT, short)
        with pytest.raises(orthrus.UsageError):
            engine.generate(PROMPT, orthrus.SamplingParams(max_tokens=1, temperature=-1))

    for _ in range(20):
        call()
    before = resident_bytes()
    for _ in range(200):
        call()
    # What 200 leaked prompts' log-probabilities alone would take is 6 MB.
    assert resident_bytes() - before < 4 << 20


def test_on_load_is_called_and_may_throw():
    stages = []
    orthrus.Engine(TINY, on_load=lambda *progress: stages.append(progress)).close()
    assert stages and all(
        stage in ("checking", "converting") and 0 <= done <= total for stage, done, total in stages
    )

    def refuse(stage, done, total):
        raise LookupError(stage)

    with pytest.raises(LookupError):
        orthrus.Engine(TINY, on_load=refuse)
