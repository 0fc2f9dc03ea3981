"""The pairwise term on drafts: after the token u, v's logit is previous[u] . next[v] higher.

A block's rows are computed at once and know nothing of each other's drafts. The term tells a row
which token was drafted right before its own.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

CANDIDATES = 32  # of each row, that the engine adds the term to
_LENGTH = 2.0  # of a row of `next` in the beginning, the root of the mean of squares
_SEED = 0  # all workers must begin alike


class Pair(NamedTuple):
    """Two tables [vocabulary, rank], float32."""

    previous: nn.Parameter
    next: nn.Parameter

    def begin(self, head: Tensor) -> None:
        """No term at all, and tokens that are alike in the LM head are alike in `next`."""
        generator = torch.Generator().manual_seed(_SEED)
        projection = torch.randn(head.shape[1], self.next.shape[1], generator=generator)
        projected = (head @ projection.to(head)).to(self.next.dtype)
        length = projected.square().sum(-1).mean().sqrt()
        self.next.data.copy_(projected * (_LENGTH / length))
        self.previous.data.zero_()

    def term(self, before: Tensor, candidates: Tensor) -> Tensor:
        """[..., P, N]: of tokens `before` [..., P] and tokens behind them [..., N]."""
        return self.previous[before] @ self.next[candidates].mT

    def drafts(self, scores: Tensor, before: Tensor, temperature: float) -> Tensor:
        """What the engine drafts of R rows: it looks at the best by the scores without the term.

        scores [R, vocabulary], logits, or at a temperature logits / temperature + noise; before [R].
        """
        best = scores.topk(min(CANDIDATES, scores.shape[-1]), -1)
        term = self.term(before[:, None], best.indices)[:, 0]
        choice = (best.values + term / (temperature or 1.0)).argmax(-1, keepdim=True)
        return best.indices.gather(-1, choice)[:, 0]

    def conditional(
        self, marginals: Tensor, candidates: Tensor, anchor: Tensor, temperature: float
    ) -> Tensor:
        """Log-probabilities of rows' candidates, given each candidate of the row before.

        marginals and candidates [blocks, rows, N]: log-probabilities without the term, and tokens;
        anchor [blocks]. Gives [blocks, rows, N, N], the token before, then the candidate. Tokens
        that are no candidates have no term.
        """
        first = anchor[:, None, None].expand_as(candidates[:, :1])
        before = torch.cat([first, candidates[:, :-1]], 1)
        scores = marginals[:, :, None] + self.term(before, candidates) / (temperature or 1.0)
        others = (1 - marginals.exp().sum(-1)).clamp(min=0)[..., None]
        return scores - (others + scores.exp().sum(-1)).log()[..., None]
