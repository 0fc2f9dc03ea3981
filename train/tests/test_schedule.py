"""How far training is, by a clock that a test moves."""

import pytest

from orthrus_train import schedule
from orthrus_train.schedule import EVERY, Progress


class Alone:
    """Workers of one."""

    count = 1

    def of_first(self, value: float) -> float:
        return value


class Two(Alone):
    count = 2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(schedule, "time", clock)
    return clock


def looks(progress: Progress) -> float:
    """The fraction at the next look at the clock."""
    return [progress.at(0) for _ in range(EVERY)][-1]


@pytest.mark.parametrize("before", [0.0, 30.0])
def test_the_first_step_does_not_count(clock: Clock, before: float) -> None:
    progress = Progress(Alone(), None, 1.0, before)  # type: ignore[arg-type]
    assert progress.at(0) == pytest.approx(before / 60)
    clock.now += 95  # compiling
    progress.first_step_done()
    assert looks(progress) < 1
    clock.now += 15
    assert looks(progress) == pytest.approx((before + 15) / 60)
    clock.now += 60
    assert looks(progress) == 1


def test_one_worker_looks_at_the_clock_before_each_step(clock: Clock) -> None:
    alone = Progress(Alone(), None, 1.0)  # type: ignore[arg-type]
    two = Progress(Two(), None, 1.0)  # type: ignore[arg-type]
    assert alone.at(0) == two.at(0) == 0
    clock.now += 90
    assert (alone.at(1), two.at(1)) == (1, 0)
    assert looks(two) == 1


def test_steps_ask_no_clock(clock: Clock) -> None:
    progress = Progress(Alone(), 8, None)  # type: ignore[arg-type]
    clock.now += 1e6
    assert progress.at(2) == 0.25
    assert progress.at(9) == 1
