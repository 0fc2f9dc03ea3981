"""Accepted drafts on texts that were not trained on, summed by way of drafting and kind of text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .acceptance import Accepted, Measure, Walk, Way, runs, walk
from .dataset import Dataset
from .workers import Workers

ALL = "all"


@dataclass
class Tally:
    """Of one way and kind of text."""

    walk: Walk = field(default_factory=Walk)  # as decoding goes
    blocks: int = 0  # from every position
    survived: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # by position

    @property
    def anywhere(self) -> float:
        """Accepted drafts of a block, whatever its anchor."""
        return float(self.survived.sum()) / self.blocks if self.blocks else float("nan")

    @property
    def decoding(self) -> float:
        """Accepted drafts of a cycle, when each begins where the last one ended."""
        return self.walk.accepted / self.walk.cycles if self.walk.cycles else float("nan")

    def add(self, other: "Tally") -> None:
        self.walk.add(other.walk)
        self.blocks += other.blocks
        if len(self.survived) == 0:
            self.survived = np.zeros_like(other.survived)
        self.survived = self.survived + other.survived


Tallies = dict[tuple[Way, str], Tally]


def tally(accepted: Sequence[Accepted], own: np.ndarray, kinds: Sequence[str]) -> Tallies:
    result: Tallies = {}
    for one, mine, kind in zip(accepted, own, kinds):
        for way, counts in one.ways.items():
            found = Tally(survived=np.zeros(way.rows, np.int64))
            for first, last in runs(mine, way.own):
                found.walk.add(walk(counts, first, last))
                here = counts[first : last - 1]
                here = here[here >= 0]
                found.blocks += len(here)
                found.survived += (here[:, None] > np.arange(way.rows)).sum(0)
            if found.blocks:
                for name in (ALL, kind):
                    result.setdefault((way, name), Tally()).add(found)
    return result


def merged(parts: Sequence[Tallies]) -> Tallies:
    result: Tallies = {}
    for part in parts:
        for key, found in part.items():
            result.setdefault(key, Tally()).add(found)
    return result


def measured(
    measure: Measure, data: Dataset, chosen: np.ndarray, ways: Sequence[Way], workers: Workers
) -> Tallies:
    """Of some of the data's sequences, which the workers share out."""
    mine = chosen[workers.rank :: workers.count]
    tallies: Tallies = {}
    if len(mine):
        texts = data.batch(mine)
        own = texts.own.numpy()
        accepted = measure.accepted(texts.tokens.numpy(), own, ways)
        tallies = tally(accepted, own, [data.meta.kinds[k] for k in texts.kind])
    return merged(workers.gathered(tallies))


def as_records(tallies: Tallies) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "temperature": way.temperature,
            "rows": way.rows,
            "nodes": way.nodes,
            "kind": kind,
            "decoding": round(found.decoding, 4),
            "anywhere": round(found.anywhere, 4),
            "cycles": found.walk.cycles,
            "blocks": found.blocks,
            "by_position": [round(float(x) / found.blocks, 4) for x in found.survived],
        }
        for (way, kind), found in tallies.items()
    ]
