"""The loss, and its gradient in the student's last hidden states, made by hand.

Logits of a row fill a vocabulary; for autograd some would have to be kept for each row of a step.
Here a sequence's rows are taken at a time, their gradient carried back through the LM head at once,
and only [rows, hidden] is left. The teacher's logits are computed once a position and looked up.
The pairwise term makes hidden states and head wider: by the table of the token at each row's own
position, which is the text's (what is drafted behind a wrong draft does not matter), and by `next`.

A row's loss is the forward divergence KL(AR view || diffusion view), or with "lk" -log of the
overlap sum(min(p, q)), the probability that a draft is accepted (arXiv 2602.23881). Rows are
weighted as in D-PACE (arXiv 2605.18810): by how much of the block's expected accepted length hangs
on the row.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import Blocks
from .pair import Pair

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
    hidden: Tensor,
    head: Tensor,
    teacher: TeacherRows,
    position: Tensor,
    kind: Kind,
    with_logits: bool,
) -> tuple[StudentRows, Tensor | None]:
    """hidden [R, D], normed; position [R], whose teacher's row each is compared with.

    with_logits: give the logits' gradient, too, [R, vocabulary] in the hidden states' type.
    """
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
    gradient = gradient.to(hidden.dtype)
    hit = logits.argmax(-1) == top
    rows = StudentRows(loss, accepting, hit, gradient @ head)
    return rows, gradient if with_logits else None


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


def add_to_tables(
    pair: Pair, of_logits: Sequence[Tensor], tokens: Tensor, before: Tensor, gradient: Tensor
) -> None:
    """Gradients of a sequence's R rows.

    of_logits: parts of [R, vocabulary] of CHUNK rows, without weights; tokens [R], and their rows
    of `previous`, before [R, rank], with weights; gradient [R, rank], of these rows, too.
    """
    of_previous, of_next = pair.previous.grad, pair.next.grad
    assert of_previous is not None and of_next is not None
    of_previous.index_add_(0, tokens, gradient.to(of_previous.dtype))
    for part, rows in zip(of_logits, before.split(CHUNK), strict=True):
        of_next += part.T @ rows.to(part.dtype)


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
        self,
        student: Tensor,
        teacher: Tensor,
        head: Tensor,
        blocks: Blocks,
        tokens: Tensor,
        pair: Pair | None = None,
    ) -> tuple[Tensor, list[Figures]]:
        """student [B, R, D] and teacher [B, T, D], normed hidden states; tokens [B, T].

        Gives the gradient of the mean loss of the B sequences in `student`, and each one's figures.
        The tables' gradient is added to what `pair` has.
        """
        before = tokens.gather(1, blocks.positions())
        wide_head = head if pair is None else torch.cat([head, pair.next.to(head.dtype)], 1)
        gradient, sequences = torch.empty_like(student), []
        for b in range(len(student)):
            own = Blocks(*(part[b] for part in blocks))
            rows = self._teacher(teacher[b], head)
            of_one, figures_of_one = self._sequence(
                student[b], rows, wide_head, own, before[b], pair, 1 / len(student)
            )
            gradient[b] = of_one
            sequences.append(figures_of_one)
        return gradient, sequences

    def _sequence(
        self,
        student: Tensor,
        teacher: TeacherRows,
        head: Tensor,
        blocks: Blocks,
        before: Tensor,
        pair: Pair | None,
        share: float,
    ) -> tuple[Tensor, Figures]:
        """Gradient in `student` [R, D] and figures. share: what the sequence's loss counts."""
        hidden = student
        if pair is not None:
            hidden = torch.cat([student, pair.previous[before].to(student.dtype)], 1)
        rows, of_logits = self._rows(hidden, teacher, head, blocks, pair is not None)
        weight = self._weights(rows.accepting, blocks, self.block_size, self.smoothing)
        weight = weight / weight.sum()
        factor = (weight * share)[:, None]
        gradient = rows.gradient * factor
        size = student.shape[-1]
        if pair is not None:
            add_to_tables(pair, of_logits, before, hidden[:, size:] * factor, gradient[:, size:])
        loss = (weight * rows.loss).sum()
        return gradient[:, :size], self._figures(loss, rows.hit, blocks, self.block_size)

    def _rows(
        self, student: Tensor, teacher: TeacherRows, head: Tensor, blocks: Blocks, with_logits: bool
    ) -> tuple[StudentRows, Sequence[Tensor]]:
        """All rows, and in parts the gradient of their logits."""
        position = blocks.positions()
        rows, of_logits = zip(
            *(
                self._student(part, head, teacher, where, self.kind, with_logits)
                for part, where in zip(student.split(CHUNK), position.split(CHUNK))
            )
        )
        return rows[0] if len(rows) == 1 else StudentRows(*map(torch.cat, zip(*rows))), of_logits
