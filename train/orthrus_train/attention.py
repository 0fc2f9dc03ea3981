"""Attention of the diffusion view: what its rows see, as one formula, in two forms.

A row sees the AR view's keys strictly before its anchor, and the rows of its own block in both
directions. Keys are laid out as [the sequence's T positions, the pass's R rows].
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from .blocks import Blocks

Mask = Tensor | BlockMask
NEVER = 2**30  # a position that is before no anchor


def _keys(blocks: Blocks, context: int) -> tuple[Tensor, Tensor]:
    """Of each key the position that anchors are compared with [T + R], and the block [B, T + R]."""
    batch, rows = blocks.block.shape
    device = blocks.block.device
    position = torch.full((context + rows,), NEVER, dtype=torch.int32, device=device)
    position[:context] = torch.arange(context, dtype=torch.int32, device=device)
    none = torch.full((batch, context), -2, dtype=torch.int32, device=device)
    return position, torch.cat([none, blocks.block.int()], 1)


def dense_mask(blocks: Blocks, context: int) -> Tensor:
    """bool [B, 1, R, T + R]: for the processor, and small sizes."""
    position, key_block = _keys(blocks, context)
    before = position[None, None] < blocks.anchor[:, :, None]
    mine = key_block[:, None] == blocks.block[:, :, None]
    return (before | mine)[:, None]


@functools.cache
def _block_mask(compiled: bool) -> Callable[..., BlockMask]:
    return torch.compile(create_block_mask, dynamic=False) if compiled else create_block_mask


def sparse_mask(blocks: Blocks, context: int) -> BlockMask:
    """The same for flex attention, which skips the tiles that nothing sees."""
    position, key_block = _keys(blocks, context)
    anchor, block = blocks.anchor.int(), blocks.block.int()

    def visible(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (position[k] < anchor[b, q]) | (key_block[b, k] == block[b, q])

    batch, rows = block.shape
    make = _block_mask(block.is_cuda)
    return make(visible, batch, None, rows, context + rows, device=block.device)


def make_mask(blocks: Blocks, context: int) -> Mask:
    return sparse_mask(blocks, context) if blocks.block.is_cuda else dense_mask(blocks, context)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """q [B, heads, R, d], k and v [B, key heads, T + R, d].

    On a GPU only inside of compiled functions: flex attention alone would keep all scores.
    """
    if isinstance(mask, BlockMask):
        return flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
