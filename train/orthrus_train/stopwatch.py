"""What parts of a step take, on the device that does them."""

import time
from typing import Any

import torch


class Stopwatch:
    """mark(name) begins a part and ends the one before; a GPU is not waited for until totals()."""

    def __init__(self, device: torch.device, running: bool):
        self._cuda = device.type == "cuda"
        self._running = running
        self._marks: list[tuple[str, Any]] = []  # CUDA events, or seconds

    def mark(self, name: str) -> None:
        if not self._running:
            return
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((name, event))
        else:
            self._marks.append((name, time.perf_counter()))

    def totals(self) -> dict[str, float]:
        """Seconds of each part since the last call; "" is what lies between steps."""
        if not self._marks:
            return {}
        if self._cuda:
            torch.cuda.synchronize()
        result: dict[str, float] = {}
        for (name, begin), (_, end) in zip(self._marks, self._marks[1:]):
            seconds = begin.elapsed_time(end) / 1000 if self._cuda else end - begin
            result[name] = result.get(name, 0.0) + seconds
        self._marks = self._marks[-1:]
        return result
