"""How much of a GPU's memory training takes: told before the first step, not by the thousandth."""

import torch

from .base import Base
from .errors import TrainError
from .heads import Heads
from .loss import CHUNK

MARGIN = 1.15  # the allocator's gaps, and what kernels hold for themselves


def fixed_bytes(heads: Heads) -> int:
    """What is not there yet when base and heads are: Adam's two moments, and a copy for a sum."""
    return heads.values.numel() * 4 * 2


def sequence_bytes(base: Base, context: int, rows: int) -> int:
    """What autograd and attention keep of one sequence until its gradient is done."""
    c = base.config
    item = base.dtype.itemsize
    attention = (2 * c.heads + 2 * c.kv_heads) * c.head_dim
    # Of a row and layer: the residual stream twice, both norms' outputs, queries, keys, values and
    # what was attended, and gate, up and their product.
    row = (4 * c.hidden_size + attention + 3 * c.intermediate_size) * item
    keys = (context + rows) * 2 * c.kv_heads * c.head_dim * item
    return c.layers * (rows * row + context * 2 * c.kv_heads * c.head_dim * item + keys)


def loss_bytes(base: Base, context: int, rows: int, pair_rank: int = 0) -> int:
    """Logits of a sequence's teacher, and of a chunk of its student in three forms.

    With a pairwise term also the head that has the table beside it, that table's gradient of a
    sequence, and the logits' gradients of all chunks but the last, which was counted.
    """
    c = base.config
    of_token = context * 3 + min(rows, CHUNK) * 4
    if pair_rank > 0:
        of_token += c.hidden_size + 2 * pair_rank + max(0, rows - CHUNK)
    return of_token * c.vocab_size * base.dtype.itemsize


def fitting_sequences(base: Base, heads: Heads, context: int, rows: int, batch: int) -> int:
    """How many of a step's sequences go through at a time: the largest part of `batch` that fits.

    Throws TrainError when not even one does. On a processor all.
    """
    if base.device.type != "cuda":
        return batch
    free, total = torch.cuda.mem_get_info(base.device)
    free += torch.cuda.memory_reserved(base.device) - torch.cuda.memory_allocated(base.device)
    whole = fixed_bytes(heads) + loss_bytes(base, context, rows, heads.pair_rank)
    room = free / MARGIN - whole
    each = sequence_bytes(base, context, rows)
    for parts in range(1, batch + 1):
        if batch % parts == 0 and each * (batch // parts) <= room:
            return batch // parts
    used = total - free
    needed = (each + whole) * MARGIN + used
    raise TrainError(
        f"training needs about {needed / 1e9:.0f} GB on {base.device}, which has "
        f"{total / 1e9:.0f} GB: give fewer --rows than {rows}, or use a GPU with more memory."
    )
