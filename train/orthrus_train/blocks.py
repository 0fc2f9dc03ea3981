"""Which rows a diffusion pass has.

A block is an anchor, a token that is known, and MASKs behind it; its row i predicts the token i + 1
places behind the anchor. Blocks of mixed lengths are packed into tiles of rows: attention's kernels
work on tiles, and a block that lies in one tile is seen by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TILE = 128
SHORTEST = 3  # of the blocks that are cut short on purpose


class Blocks(NamedTuple):
    """Rows of a batch of B sequences, R of each; all int64 [B, R]."""

    anchor: Tensor  # the position of the row's anchor
    offset: Tensor  # the row's place in its block, 0 is the anchor's own
    block: Tensor  # which block of its sequence; -1: a row that fills up

    def positions(self) -> Tensor:
        """Where each row stands; the token that it predicts is one further."""
        return self.anchor + self.offset

    def to(self, device: torch.device | str) -> "Blocks":
        return Blocks(*(part.to(device, non_blocking=True) for part in self))


def tile_of(rows: int) -> int:
    return min(TILE, rows)


def mixed_lengths(rng: np.random.Generator, rows: int, block_size: int) -> list[list[int]]:
    """Lengths of blocks for each tile, which they fill: half of them whole, half shorter.

    The last block of a tile takes what is left, so a few are shorter than SHORTEST.
    """
    tiles = []
    for _ in range(rows // tile_of(rows)):
        left = tile_of(rows)
        lengths = []
        while left > 0:
            whole = rng.random() < 0.5
            length = (
                block_size
                if whole
                else int(rng.integers(min(SHORTEST, block_size - 1), block_size))
            )
            lengths.append(min(length, left))
            left -= lengths[-1]
        tiles.append(lengths)
    return tiles


def equal_lengths(rows: int, length: int) -> list[list[int]]:
    """As many blocks of one length as whole ones fit into each tile."""
    tile = tile_of(rows)
    return [[length] * (tile // length) for _ in range(rows // tile)]


def lay_out(
    tiles: Sequence[Sequence[int]], anchors: np.ndarray, rows: int
) -> tuple[np.ndarray, ...]:
    """anchor, offset and block of one sequence's rows; `anchors` has a position for each block.

    With fewer anchors than blocks, the rows of the blocks without one fill up.
    """
    anchor, offset = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    block = np.full(rows, -1, np.int64)
    count = 0
    for number, lengths in enumerate(tiles):
        row = number * tile_of(rows)
        for length in lengths[: max(0, len(anchors) - count)]:
            anchor[row : row + length] = anchors[count]
            offset[row : row + length] = np.arange(length)
            block[row : row + length] = count
            row += length
            count += 1
    return anchor, offset, block


def stack(layouts: Sequence[tuple[np.ndarray, ...]]) -> Blocks:
    return Blocks(*(torch.from_numpy(np.stack(parts)) for parts in zip(*layouts)))


def usable_anchors(own: np.ndarray, block_size: int) -> np.ndarray:
    """Positions before tokens that the model chose itself, with room for a block behind them."""
    return np.flatnonzero(own[1 : len(own) - block_size + 1] > 0)


def training_blocks(
    rng: np.random.Generator, own: np.ndarray, rows: int, block_size: int
) -> Blocks:
    """Blocks of mixed lengths for own [B, T]: random anchors in the model's own text, in order.

    Where a sequence has too little text of its own, some are at other positions, which are as true.
    """
    layouts = []
    for row in own:
        tiles = mixed_lengths(rng, rows, block_size)
        count = sum(map(len, tiles))
        usable = usable_anchors(row, block_size)
        others = np.setdiff1d(np.arange(len(row) - block_size), usable, assume_unique=True)
        chosen = rng.permutation(usable)[:count]
        chosen = np.concatenate([chosen, rng.permutation(others)[: count - len(chosen)]])
        layouts.append(lay_out(tiles, np.sort(chosen), rows))
    return stack(layouts)
