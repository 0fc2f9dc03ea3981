"""Generations that are read while they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType

from ._job import Job
from .results import Generation, Step


class Stream(Iterator[Step]):
    """Steps of a generation, one for each forward pass; then `generation` is the whole of it.

    Closing it, leaving its `with` block, or forgetting it cancels what is not done.
    """

    def __init__(self, job: Job, on_end: Callable[[Generation], None] | None = None) -> None:
        self._job: Job = job
        self._steps: deque[Step] = deque()
        self._on_end = on_end
        self._closed = False
        self._generation: Generation | None = None

    @property
    def generation(self) -> Generation | None:
        """The whole; None until the last step was read, or the stream was closed."""
        return self._generation

    @property
    def closed(self) -> bool:
        """Whether it has come to its end, or was closed."""
        return self._closed

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Step:
        try:
            while not self._steps:
                if self._generation is not None or self._closed:
                    raise StopIteration
                self._job.wait()
                self._take()
        except Exception:
            raise
        except BaseException:
            self._job.cancel()
            raise
        return self._steps.popleft()

    def _take(self) -> None:
        # What ended before its steps are taken has no other steps.
        ended = self._job.ended()
        self._steps.extend(self._job.steps())
        if ended and not self._steps:
            self._closed = True
            self._generation = self._job.generation()
            if self._on_end is not None:
                self._on_end(self._generation)

    def close(self) -> None:
        """Ends it after the pass that runs; `generation` is then what it has come to."""
        self._steps.clear()
        if self._closed:
            return
        self._job.cancel()
        while not self._closed:
            self._job.wait()
            self._steps.clear()
            self._take()
            self._steps.clear()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncStream(AsyncIterator[Step]):
    """The same in an event loop. Cancelled with the task that reads it, too."""

    def __init__(self, job: Job) -> None:
        self._job: Job = job
        self._steps: deque[Step] = deque()
        self._closed = False
        self._generation: Generation | None = None

    @property
    def generation(self) -> Generation | None:
        """The whole; None until the last step was read, or the stream was closed."""
        return self._generation

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Step:
        while not self._steps:
            if self._closed:
                raise StopAsyncIteration
            await self._take()
        return self._steps.popleft()

    async def _take(self) -> None:
        self._job.check_loop()
        try:
            ended = self._job.ended()
            if not ended:
                await self._job.news()
        except BaseException:
            self._job.cancel()
            raise
        self._steps.extend(self._job.steps())
        if ended and not self._steps:
            self._closed = True
            self._generation = self._job.generation()

    async def aclose(self) -> None:
        """Ends it after the pass that runs; `generation` is then what it has come to."""
        self._job.cancel()
        self._steps.clear()
        while not self._closed:
            await self._take()
            self._steps.clear()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
