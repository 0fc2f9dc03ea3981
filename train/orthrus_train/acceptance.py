"""What decoding would accept of the drafts, measured along texts that the base wrote.

Greedy, the AR view's pick at a position is known. At a temperature the AR view picks with Gumbel
noise, and the draft is picked with the same noise (the engine's coupled drafts). Here the picks are
the text's own tokens, so the noise is drawn from what it can have been, given them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import Blocks, equal_lengths, lay_out, stack
from .diffusion import Passes
from .heads import Heads
from .pair import Pair
from .tree import sizes_needed

GREEDY, SAMPLED = 1, 2  # what `own` says of a token that the base chose
BEST = 16  # tokens of a row that a tree may take


@dataclass(frozen=True)
class Way:
    """A way to draft, along texts that were chosen greedily (temperature 0) or sampled."""

    temperature: float
    rows: int  # of the diffusion pass, as many drafts
    nodes: int = 0  # of a tree made from them; 0: a chain

    @property
    def own(self) -> int:
        return SAMPLED if self.temperature > 0 else GREEDY


@dataclass
class Accepted:
    """Of one sequence: for each way, how many drafts of a block at each position are accepted.

    -1 where no block was.
    """

    ways: dict[Way, np.ndarray] = field(default_factory=dict)


def full_logits(hidden: Tensor, head: Tensor) -> Tensor:
    """float32: bfloat16 would tie the likeliest tokens."""
    if hidden.is_cuda and hidden.dtype == torch.bfloat16:
        return torch.mm(hidden, head.T, out_dtype=torch.float32)
    return F.linear(hidden.float(), head.float())


def noise_behind(scores: Tensor, picked: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise [rows, vocabulary] with which `picked` [rows] is the argmax of scores + noise.

    The maximum of all is itself Gumbel around logsumexp, whatever token has it; the others are cut
    off there (Maddison et al., arXiv 1411.0030).
    """

    def gumbel(*shape: int) -> Tensor:
        uniform = torch.rand(shape, device=scores.device, generator=generator).clamp_(
            1e-20, 1 - 1e-7
        )
        return uniform.log_().neg_().log_().neg_()

    largest = scores.logsumexp(-1, keepdim=True) + gumbel(len(scores), 1)
    noisy = -torch.logaddexp(-largest, -(scores + gumbel(*scores.shape)))
    noisy.scatter_(1, picked[:, None], largest)
    return noisy - scores


class Measure:
    """Measures heads in batches of a fixed shape, so that compiled passes stay compiled."""

    def __init__(
        self,
        passes: Passes,
        heads: Heads,
        block_size: int,
        batch: int,
        rows: int,
        in_training: bool = False,
    ):
        """in_training: keep what a gradient would need, so that training's compiled layers do."""
        self.passes = passes
        self.heads = heads
        self.block_size = block_size
        self.batch = batch
        self.rows = rows
        self.in_training = in_training

    @torch.no_grad()
    def accepted(
        self, tokens: np.ndarray, own: np.ndarray, ways: Sequence[Way], seed: int = 0
    ) -> list[Accepted]:
        """tokens and own [N, T]; anchors are all positions whose token the base chose itself."""
        results = []
        for begin in range(0, len(tokens), self.batch):
            part = np.arange(begin, begin + self.batch).clip(max=len(tokens) - 1)
            batch = self._batch(tokens[part], own[part], ways, seed + begin)
            results += batch[: len(tokens) - begin]
        return results

    def _batch(
        self, tokens: np.ndarray, own: np.ndarray, ways: Sequence[Way], seed: int
    ) -> list[Accepted]:
        device, head = self.passes.base.device, self.passes.base.head
        ids = torch.from_numpy(tokens.astype(np.int64)).to(device)
        teacher = self.passes.teacher(ids)
        results = [Accepted({w: np.full(len(t), -1) for w in ways}) for t in tokens]
        generator = torch.Generator(device)
        for length in sorted({way.rows for way in ways}):
            here = [way for way in ways if way.rows == length]
            for anchors, blocks in self._passes(own, length):
                blocks = blocks.to(device)
                with torch.set_grad_enabled(self.in_training):
                    hidden = self.passes.student(self.heads, ids, blocks, teacher.kv).detach()
                for b, mine in enumerate(anchors):
                    wanted = [way for way in here if (own[b] == way.own).any()]
                    if len(mine) == 0 or not wanted:
                        continue
                    rows = blocks.block[b] >= 0
                    student = full_logits(hidden[b][rows], head)
                    picks = full_logits(teacher.hidden[b], head)
                    position = blocks.positions()[b][rows].view(len(mine), length)
                    for way in wanted:
                        generator.manual_seed(
                            seed + b
                        )  # the noise of a position is one, whatever the pass
                        counts = self._count(way, student, picks, ids[b], position, generator)
                        results[b].ways[way][mine] = counts
        return results

    def _passes(self, own: np.ndarray, length: int) -> Iterator[tuple[list[np.ndarray], Blocks]]:
        """Anchors of each sequence, as many as a pass has blocks, and the blocks."""
        tiles = equal_lengths(self.rows, length)
        count = sum(map(len, tiles))
        last = own.shape[1] - self.block_size  # the drafts of a whole block have to lie in the text
        usable = [np.flatnonzero(row[:last] > 0) for row in own]
        for begin in range(0, max(map(len, usable)), count):
            anchors = [positions[begin : begin + count] for positions in usable]
            yield anchors, stack([lay_out(tiles, a, self.rows) for a in anchors])

    def _count(
        self,
        way: Way,
        student: Tensor,
        picks: Tensor,
        ids: Tensor,
        position: Tensor,
        generator: torch.Generator,
    ) -> np.ndarray:
        """Accepted drafts of each block.

        Logits: student [blocks * rows, V], picks [T, V]; position [blocks, rows].
        """
        if way.temperature > 0:
            text = ids.roll(-1)  # the token behind each position; the last one is nobody's
        else:
            text = picks.argmax(-1)
        right = text[position]
        pair, before = self.heads.pair, ids[position]
        if way.nodes > 0:
            return _tree_counts(student, right, before, way, pair)
        scores = student
        if way.temperature > 0:
            noise = noise_behind(picks / way.temperature, text, generator)
            scores = student / way.temperature + noise[position.flatten()]
        # Up to the first wrong draft, the draft before a row's own is the text's token.
        if pair is None:
            drafts = scores.argmax(-1)
        else:
            drafts = pair.drafts(scores, before.flatten(), way.temperature)
        hit = drafts.view(right.shape) == right
        return hit.int().cumprod(-1).sum(-1).cpu().numpy()


def _tree_counts(
    student: Tensor, right: Tensor, before: Tensor, way: Way, pair: Pair | None
) -> np.ndarray:
    """right and before [blocks, rows]: the text's tokens behind and at each row's position."""
    scores = student / way.temperature if way.temperature > 0 else student
    best = scores.topk(min(BEST, scores.shape[-1]), -1)
    candidates = best.indices.view(*right.shape, -1)
    marginals = (best.values - scores.logsumexp(-1, keepdim=True)).view(candidates.shape)
    if pair is None:
        given = marginals[:, :, None].expand(-1, -1, candidates.shape[-1], -1)
    else:
        given = pair.conditional(marginals, candidates, before[:, 0], way.temperature)
    same = candidates == right[..., None]
    path = torch.where(same.any(-1), same.int().argmax(-1), -1).tolist()
    return np.array([len(sizes_needed(g, p, way.nodes)) for g, p in zip(given.double().cpu().numpy(), path)])


@dataclass
class Walk:
    """Decoding along a text, summed."""

    cycles: int = 0
    accepted: int = 0

    def add(self, other: "Walk") -> None:
        self.cycles += other.cycles
        self.accepted += other.accepted


def runs(own: np.ndarray, value: int) -> Iterator[tuple[int, int]]:
    """First and last positions of the stretches of one sequence that the base chose so."""
    inside = np.concatenate([[False], own == value, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(inside))
    yield from ((int(begin), int(end) - 1) for begin, end in zip(edges[::2], edges[1::2]))


def walk(accepted: np.ndarray, first: int, last: int) -> Walk:
    """Cycles from the anchor `first`, of which the last one ends with the text's last token."""
    result = Walk()
    anchor = first
    while anchor + 1 < last and accepted[anchor] >= 0:
        count = min(int(accepted[anchor]), last - anchor - 1)
        result.cycles += 1
        result.accepted += count
        anchor += count + 1
    return result
