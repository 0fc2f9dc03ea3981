"""A request under way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from . import _native
from ._asked import Asked
from ._check import counted
from ._loop import news_of_running_loop
from .errors import GenerationError, UsageError
from .results import Generation, Step, generation_of, step_of

_interpreter_ends = False


def interpreter_ends() -> None:
    """From now on closed engines are nobody's fault: what threads wait for ends quietly."""
    global _interpreter_ends
    _interpreter_ends = True


class Job:
    """One choice. The engine stops working on it when it is cancelled or forgotten."""

    def __init__(
        self,
        engine: _native.Engine,
        asked: Asked,
        choice: int,
        *,
        steps: bool = False,
        in_loop: bool = False,
    ) -> None:
        self._engine = engine
        self._cancelled = False
        self._asked = asked
        self._options = asked.options[choice]
        self._loop = asyncio.get_running_loop() if in_loop else None
        self._bell = asyncio.Event() if in_loop else None
        self._news = news_of_running_loop() if in_loop else None
        self._key = self._news.add(self._bell) if self._news and self._bell else 0
        try:
            self._native = engine.submit(
                asked.prompt_ids,
                self._options,
                steps,
                self._news.waker if self._news else None,
                self._key,
            )
        except BaseException:
            self._forget_bell()
            raise

    def wait(self) -> None:
        """Until there is news. A signal's exception, as KeyboardInterrupt, comes out of it."""
        self._native.wait()

    def check_loop(self) -> None:
        """Raises UsageError in another loop than that it was made in, which alone hears of news."""
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("This stream is another event loop's; make it in the one that reads it.")

    async def news(self) -> None:
        """The same within the loop."""
        assert self._bell is not None
        await self._bell.wait()
        self._bell.clear()

    def steps(self) -> list[Step]:
        return [step_of(step) for step in self._native.take()]

    def ended(self) -> bool:
        return self._native.result() is not None

    def generation(self) -> Generation:
        """After ended(). Raises GenerationError where it failed, or its engine was closed."""
        self._forget_bell()
        native = self._native.result()
        assert native is not None
        generation = generation_of(native, self._asked.prompt_ids, self._options)
        if generation.finish_reason == "cancelled" and not self._cancelled and self._lost():
            count = counted(len(generation.token_ids), "token")
            raise GenerationError(f"The engine was closed after {count} of this generation.", generation)
        if self._asked.reader is None:
            return generation
        return replace(generation, message=self._asked.reader(generation.text))

    def cancel(self) -> None:
        self._cancelled = True
        self._native.cancel()

    def _lost(self) -> bool:
        return self._engine.closed() and not _interpreter_ends

    def _forget_bell(self) -> None:
        if self._news is not None:
            self._news.remove(self._key)
            self._news = None


def run(engine: _native.Engine, asked: list[Asked]) -> list[Generation]:
    """All together, to their ends. Where one fails, or a signal comes, the others are cancelled."""
    jobs: list[list[Job]] = []
    try:
        for one in asked:
            choices: list[Job] = []
            jobs.append(choices)
            choices.extend(Job(engine, one, i) for i in range(len(one.options)))
        for choices in jobs:
            for job in choices:
                while not job.ended():
                    job.wait()
                    job.steps()  # which tells of memory that failed
        return [_joined(choices) for choices in jobs]
    except BaseException:
        _cancel(jobs)
        raise


async def run_in_loop(engine: _native.Engine, asked: list[Asked]) -> list[Generation]:
    jobs: list[list[Job]] = []
    try:
        for one in asked:
            choices: list[Job] = []
            jobs.append(choices)
            choices.extend(Job(engine, one, i, in_loop=True) for i in range(len(one.options)))
        for choices in jobs:
            for job in choices:
                while not job.ended():
                    await job.news()
                    job.steps()
        return [_joined(choices) for choices in jobs]
    except BaseException:
        _cancel(jobs)
        raise


def _joined(choices: list[Job]) -> Generation:
    first, *others = [job.generation() for job in choices]
    return replace(first, others=tuple(others)) if others else first


def _cancel(jobs: list[list[Job]]) -> None:
    for choices in jobs:
        for job in choices:
            job.cancel()
