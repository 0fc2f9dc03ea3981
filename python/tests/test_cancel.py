"""What ends a generation before its time, and what time Python has meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import orthrus
import pytest
from conftest import LONG, PROMPT, TINY


def idle(engine: orthrus.Engine) -> bool:
    """Whether it comes to have nothing to do, long before the generation could have ended."""
    for _ in range(500):
        load = engine.load()
        if load.running == load.waiting == 0:
            return True
        time.sleep(0.01)
    return False


def test_close(engine):
    stream = engine.stream(PROMPT, LONG)
    first = next(stream)
    stream.close()
    assert stream.generation.finish_reason == "cancelled"
    assert stream.generation.token_ids[: len(first.token_ids)].tolist() == first.token_ids.tolist()
    assert len(stream.generation.token_ids) < 2000
    assert list(stream) == []
    stream.close()
    assert idle(engine)


def test_leaving_the_block(engine):
    with engine.stream(PROMPT, LONG) as stream:
        for _ in stream:
            break
    assert stream.generation.finish_reason == "cancelled"
    assert idle(engine)


def test_forgetting_it(engine):
    for _ in engine.stream(PROMPT, LONG):
        break
    gc.collect()
    assert idle(engine)


def test_unread_and_forgotten(engine):
    engine.stream(PROMPT, LONG)
    gc.collect()
    assert idle(engine)


def test_task(engine):
    async def main():
        task = asyncio.create_task(engine.agenerate([PROMPT, PROMPT], LONG))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert idle(engine)


def test_task_that_reads_a_stream(engine):
    async def read():
        async for _ in engine.astream(PROMPT, LONG):
            pass

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 0.1)

    asyncio.run(main())
    assert idle(engine)


def test_aclose(engine):
    async def main():
        async with engine.astream(PROMPT, LONG) as stream:
            async for _ in stream:
                break
        assert stream.generation.finish_reason == "cancelled"
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        unread = engine.astream(PROMPT, LONG)
        await unread.aclose()
        assert unread.generation.finish_reason == "cancelled"

    asyncio.run(main())
    assert idle(engine)


def test_a_loop_that_ends_under_a_stream(engine):
    async def main():
        stream = engine.astream(PROMPT, LONG)
        await stream.__anext__()
        return stream

    stream = asyncio.run(main())
    del stream
    gc.collect()
    assert idle(engine)
    # A loop that comes later starts afresh.
    short = orthrus.SamplingParams(max_tokens=4)
    assert len(asyncio.run(engine.agenerate(PROMPT, short)).token_ids) == 4


@pytest.mark.parametrize("read_before", [False, True])
def test_a_stream_in_another_loop_is_refused(engine, read_before):
    async def make():
        stream = engine.astream(PROMPT, LONG)
        if read_before:
            await stream.__anext__()
        return stream

    async def read(stream):
        return [step async for step in stream]

    stream = asyncio.run(make())
    with pytest.raises(orthrus.UsageError, match="another event loop"):
        asyncio.run(read(stream))
    del stream
    gc.collect()
    assert idle(engine)


def test_a_batch_with_an_invalid_prompt(engine):
    with pytest.raises(orthrus.UsageError, match="max_tokens"):
        engine.generate([PROMPT, PROMPT], [LONG, orthrus.SamplingParams(max_tokens=0)])
    with pytest.raises(orthrus.UsageError, match="8191"):
        engine.generate([PROMPT, [9000]], LONG)
    assert idle(engine)


def test_coroutines_wait_for_each_other_without_blocking(engine):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await engine.agenerate(PROMPT, orthrus.SamplingParams(max_tokens=64))
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 10


def test_python_runs_while_it_computes(engine):
    counted = 0
    done = threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted
    engine.generate(PROMPT, orthrus.SamplingParams(max_tokens=64))
    during = counted - before
    done.set()
    thread.join()
    assert during > 1000


INTERRUPTED = """
import signal, sys, orthrus
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
engine = orthrus.Engine(sys.argv[1])
params = orthrus.SamplingParams(max_tokens=2000, ignore_eos=True, mode="ar")
prompts = ["def fibonacci(n):"] * 64
stream = engine.stream(prompts[0], params)
next(stream)
try:
    print("ready", flush=True)
    WAIT
except KeyboardInterrupt:
    print("interrupted", flush=True)
short = orthrus.SamplingParams(max_tokens=4)
print(len(engine.generate(prompts[0], short).token_ids), flush=True)
"""


@pytest.mark.parametrize(
    "wait",
    [
        "engine.generate(prompts, params)",
        "[list(engine.stream(p, params)) for p in prompts]",
        "engine.score([[5] * 2000] * 200)",
        "__import__('asyncio').run(engine.agenerate(prompts, params))",
    ],
)
def test_keyboard_interrupt(wait):
    code = INTERRUPTED.replace("WAIT", wait)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(TINY)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out == "interrupted\n4\n"
    assert process.returncode == 0


def test_unhandled_interrupt_ends_the_process():
    code = INTERRUPTED.replace("WAIT", "engine.generate(prompts, params)").replace(
        "except KeyboardInterrupt", "except ZeroDivisionError"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(TINY)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in err
