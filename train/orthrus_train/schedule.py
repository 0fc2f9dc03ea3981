"""How far training is, and the learning rate there."""

import math
import time

from .workers import Workers

EVERY = 10  # steps between looks at the clock where several workers have to agree about it


class Progress:
    """From 0 to 1, by steps or by the clock, the same for all workers."""

    def __init__(
        self,
        workers: Workers,
        steps: int | None,
        minutes: float | None,
        elapsed: float = 0.0,
    ):
        """One of steps and minutes. elapsed: seconds that training took before it was resumed."""
        self._elapsed_before = elapsed
        self._workers = workers
        self._steps = steps
        self._seconds = 0.0 if minutes is None else minutes * 60
        self._begin = time.monotonic() - elapsed
        self._seen = 0.0
        self._calls = 0

    def first_step_done(self) -> None:
        """The clock begins here: compiling takes a minute or two, which are not training.

        Were they counted, a short training would begin where its learning rate has half gone down.
        """
        self._begin = time.monotonic() - self._elapsed_before

    def elapsed(self) -> float:
        """Seconds, by this worker's own clock."""
        return time.monotonic() - self._begin

    def at(self, step: int) -> float:
        """Called once before each step."""
        if self._steps is not None:
            return min(1.0, step / self._steps)
        if self._workers.count == 1 or self._calls % EVERY == 0:
            self._seen = self._workers.of_first(self.elapsed())
        self._calls += 1
        return min(1.0, self._seen / self._seconds)

    def seconds_left(self, fraction: float) -> float | None:
        """None until there is something to go by."""
        if self._steps is None:
            return max(0.0, self._seconds - self.elapsed())
        return self.elapsed() * (1 - fraction) / fraction if fraction > 0 else None


def learning_rate(peak: float, step: int, warmup: int, fraction: float) -> float:
    """A linear warm-up, and a cosine down to a fiftieth of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * fraction))
    return peak * min(1.0, (step + 1) / max(1, warmup)) * (0.02 + 0.98 * cosine)
