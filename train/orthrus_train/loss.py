"""The loss, and its gradient in the student's last hidden states, made by hand.

Logits of a row fill a vocabulary; for autograd some would have to be kept for each row of a step.
Here a sequence's rows are taken at a time, their gradient carried back through the LM head at once,
and only [rows, hidden] is left. The teacher's logits are computed once a position and looked up.

A row's loss is the forward divergence KL(AR view || diffusion view), or with "lk" -log of the
overlap sum(min(p, q)), the probability that a draft is accepted (arXiv 2602.23881). Rows are
weighted as in D-PACE (arXiv 2605.18810): by how much of the block's expected accepted length hangs
on the row.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import Blocks

Kind = Literal["kl", "lk"]
KINDS: tuple[Kind, ...] = ("kl", "lk")
CHUNK = 2048  # rows whose logits are held at a time; a multiple of a tile


class TeacherRows(NamedTuple):
    """The AR view at each of a sequence's T positions."""

    logits: Tensor  # [T, vocabulary]
    log_total: Tensor  # [T], logsumexp of them
    top: Tensor  # [T], the token that it picks


class StudentRows(NamedTuple):
    """Figures of R rows, and what the loss gives back to their hidden states before weights."""

    loss: Tensor  # [R]
    accepting: Tensor  # [R], how likely the row's draft is accepted
    hit: Tensor  # [R], whether its likeliest draft is the AR view's pick
    gradient: Tensor  # [R, hidden], in the hidden states' type


class Figures(NamedTuple):
    """Sums over a sequence's blocks, for logs."""

    loss: Tensor  # [], the weighted mean that the gradient is of
    survived: (
        Tensor  # [block size], whole blocks whose drafts are right up to and including the i-th
    )
    blocks: Tensor  # [], whole blocks


def wide(x: Tensor) -> Tensor:
    """For sums: float32, or float64 where all is (tests)."""
    return x if x.dtype == torch.float64 else x.float()


def teacher_rows(hidden: Tensor, head: Tensor) -> TeacherRows:
    """hidden [T, D], the AR view's, normed; head [vocabulary, D]."""
    logits = F.linear(hidden, head)
    return TeacherRows(logits, wide(logits).logsumexp(-1), wide(logits).argmax(-1))


def student_rows(
    hidden: Tensor, head: Tensor, teacher: TeacherRows, position: Tensor, kind: Kind
) -> StudentRows:
    """hidden [R, D], normed; position [R], whose teacher's row each is compared with."""
    logits = wide(F.linear(hidden, head))
    log_q = logits - logits.logsumexp(-1, keepdim=True)
    log_p = wide(teacher.logits[position]) - teacher.log_total[position][:, None]
    p, q = log_p.exp(), log_q.exp()
    top = teacher.top[position]
    if kind == "kl":
        loss = (p * (log_p - log_q)).sum(-1)
        accepting = log_q.gather(-1, top[:, None])[:, 0].exp()
        gradient = q - p
    else:
        accepting = torch.minimum(p, q).sum(-1).clamp(min=1e-9)
        loss = -accepting.log()
        below = q < p
        gradient = q * ((q * below).sum(-1, keepdim=True) - below.to(q.dtype)) / accepting[:, None]
    return StudentRows(loss, accepting, logits.argmax(-1) == top, gradient.to(hidden.dtype) @ head)


def on_grid(values: Tensor, blocks: Blocks, block_size: int) -> Tensor:
    """Values of a sequence's rows [R] as [R + 1, block size], a line a block; 0 where none is.

    There are at most R blocks; rows that fill up have block -1, the last line.
    """
    grid = values.new_zeros(len(values) + 1, block_size)
    return grid.index_put((blocks.block, blocks.offset), values)


def weights(accepting: Tensor, blocks: Blocks, block_size: int, smoothing: float) -> Tensor:
    """D-PACE's weight of each row [R]: the expected accepted drafts that are lost without its own.

    The probability that draft i is reached is the product of those before it; smoothing, from 0 to
    1, keeps far rows from having none. Blocks of one sequence.
    """
    smooth = (1 - smoothing) * accepting + smoothing
    reached = on_grid(smooth, blocks, block_size).cumprod(-1)
    behind = reached.flip(-1).cumsum(-1).flip(-1)
    return torch.where(blocks.block >= 0, behind[blocks.block, blocks.offset], 0.0)


def figures(loss: Tensor, hit: Tensor, blocks: Blocks, block_size: int) -> Figures:
    valid = blocks.block >= 0
    whole = on_grid(valid.int(), blocks, block_size)[:-1].sum(-1) == block_size
    survived = on_grid(hit.int(), blocks, block_size)[:-1].cumprod(-1)
    return Figures(loss, (survived * whole[:, None]).sum(0), whole.sum())


class Loss:
    """The loss of a batch; compiled where that pays."""

    def __init__(
        self, block_size: int, kind: Kind = "kl", smoothing: float = 0.5, compiled: bool = False
    ):
        self.block_size = block_size
        self.kind = kind
        self.smoothing = smoothing

        def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
            return torch.compile(function, dynamic=False) if compiled else function

        self._teacher = wrap(teacher_rows)
        self._student = wrap(student_rows)
        self._weights = wrap(weights)
        self._figures = wrap(figures)

    @torch.no_grad()
    def __call__(
        self, student: Tensor, teacher: Tensor, head: Tensor, blocks: Blocks
    ) -> tuple[Tensor, list[Figures]]:
        """student [B, R, D] and teacher [B, T, D], normed hidden states.

        Gives the gradient of the mean loss of the B sequences in `student`, and each one's figures.
        """
        gradient = torch.empty_like(student)
        sequences = []
        for b in range(len(student)):
            own = Blocks(*(part[b] for part in blocks))
            rows = self._rows(student[b], self._teacher(teacher[b], head), head, own)
            weight = self._weights(rows.accepting, own, self.block_size, self.smoothing)
            weight = weight / weight.sum()
            gradient[b] = rows.gradient * (weight / len(student))[:, None]
            sequences.append(
                self._figures((weight * rows.loss).sum(), rows.hit, own, self.block_size)
            )
        return gradient, sequences

    def _rows(
        self, student: Tensor, teacher: TeacherRows, head: Tensor, blocks: Blocks
    ) -> StudentRows:
        position = blocks.positions()
        parts = [
            self._student(student[i : i + CHUNK], head, teacher, position[i : i + CHUNK], self.kind)
            for i in range(0, len(student), CHUNK)
        ]
        return parts[0] if len(parts) == 1 else StudentRows(*(torch.cat(x) for x in zip(*parts)))
