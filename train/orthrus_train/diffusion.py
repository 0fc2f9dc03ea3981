"""The two passes of training: the AR view over whole sequences, the diffusion view over blocks."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import Mask, attend, make_mask
from .base import Base
from .blocks import Blocks
from .config import BaseConfig
from .heads import Heads
from .network import (
    Layer,
    ar_layer,
    mlp,
    project_output,
    project_qkv,
    rms_norm,
    rope_tables,
)

KeysAndValues = Sequence[tuple[Tensor, Tensor]]


class Teacher(NamedTuple):
    """What the AR view leaves behind."""

    hidden: Tensor  # [B, T, D], normed: what the LM head takes
    kv: KeysAndValues  # of each layer, [B, key heads, T, head_dim]


def diffusion_layer(
    x: Tensor,
    layer: Layer,
    heads: Layer,
    k_before: Tensor,
    v_before: Tensor,
    config: BaseConfig,
    cos: Tensor,
    sin: Tensor,
    mask: Mask,
) -> Tensor:
    """One layer over the rows of blocks, x [B, R, D]. The attention alone is not the AR view's."""
    h = rms_norm(x, layer["input_layernorm.weight"], config.rms_norm_eps)
    q, k, v = project_qkv(h, heads, config, cos, sin)
    attended = attend(q, torch.cat([k_before, k], 2), torch.cat([v_before, v], 2), mask)
    return mlp(x + project_output(attended, heads), layer, config)


class Passes:
    """Both passes of one base. Compiled a layer at a time: all layers are one graph."""

    def __init__(self, base: Base, mask_token_id: int, compiled: bool):
        self.base = base
        self.mask_token_id = mask_token_id

        def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
            return torch.compile(function, dynamic=False) if compiled else function

        self._ar_layer = wrap(ar_layer)
        self._diffusion_layer = wrap(diffusion_layer)

    @torch.no_grad()
    def teacher(self, tokens: Tensor) -> Teacher:
        """tokens int64 [B, T]."""
        base = self.base
        x = F.embedding(tokens, base.embed)
        cos, sin = rope_tables(base.config, torch.arange(tokens.shape[1], device=tokens.device))
        kv = []
        for layer in base.layers:
            x, k, v = self._ar_layer(x, layer, base.config, cos, sin)
            kv.append((k, v))
        return Teacher(base.final_norm(x), kv)

    def student(self, heads: Heads, tokens: Tensor, blocks: Blocks, kv: KeysAndValues) -> Tensor:
        """Normed hidden states [B, R, D] of blocks' rows, over the teacher's keys and values."""
        base = self.base
        anchors = tokens.gather(1, blocks.anchor)
        ids = torch.where(blocks.offset == 0, anchors, self.mask_token_id)
        # The first layer's input has a gradient that nobody needs, so that all layers are one graph.
        x = F.embedding(ids, base.embed).requires_grad_(torch.is_grad_enabled())
        cos, sin = rope_tables(base.config, blocks.positions()[:, None])
        mask = make_mask(blocks, tokens.shape[1])
        for layer, mine, (k, v) in zip(base.layers, heads.layers, kv):
            x = self._diffusion_layer(x, layer, mine, k, v, base.config, cos, sin, mask)
        return base.final_norm(x)
