"""News of streams, brought into event loops.

The engine's thread writes a byte to a pipe that the loop watches. It never takes the GIL, and so
never waits for Python code.
"""

from __future__ import annotations

import asyncio
import itertools
from weakref import WeakKeyDictionary, WeakValueDictionary

from . import _native


class LoopNews:
    """Of one loop. To be used within it."""

    def __init__(self) -> None:
        self.waker = _native.Waker()
        self._bells: WeakValueDictionary[int, asyncio.Event] = WeakValueDictionary()
        self._keys = itertools.count()
        self._watching = False

    def add(self, bell: asyncio.Event) -> int:
        """A key: what is posted with it sets the event. Forgotten when the event is gone."""
        key = next(self._keys)
        self._bells[key] = bell
        if not self._watching:
            asyncio.get_running_loop().add_reader(self.waker.fileno(), self._ring)
            self._watching = True
        return key

    def remove(self, key: int) -> None:
        self._bells.pop(key, None)
        self._rest()

    def _ring(self) -> None:
        for key in self.waker.take():
            bell = self._bells.get(key)
            if bell is not None:
                bell.set()
        self._rest()

    def _rest(self) -> None:
        if self._watching and not self._bells:
            asyncio.get_running_loop().remove_reader(self.waker.fileno())
            self._watching = False


_news: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopNews] = WeakKeyDictionary()


def news_of_running_loop() -> LoopNews:
    loop = asyncio.get_running_loop()
    news = _news.get(loop)
    if news is None:
        news = _news[loop] = LoopNews()
    return news
