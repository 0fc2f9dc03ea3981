"""The AR network as pure functions of activations and a layer's tensors.

Activations have the base's dtype (bfloat16 on a GPU); norms, rotations and biases' and norms'
weights are float32. `x` is [batch, rows, hidden]; heads are [batch, heads, rows, head_dim].
A layer is a dict of tensors by the names of config.layer_shapes. Weights of another dtype than
the activations' (float32 masters of heads) are cast as they are used, which autograd undoes.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import BaseConfig

Layer = Mapping[str, Tensor]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)
    return (y * weight.float()).to(x.dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def rope_tables(config: BaseConfig, positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin [*positions.shape, head_dim], float32, of each position's rotation.

    They must broadcast against [batch, heads, rows, head_dim]: give positions [rows], or
    [batch, 1, rows] where sequences differ.
    """
    steps = torch.arange(0, config.head_dim, 2, device=positions.device).float()
    frequencies = 1.0 / config.rope_theta ** (steps / config.head_dim)
    angles = positions[..., None].float() * frequencies
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    y = x.float()
    turned = torch.cat([-y[..., half:], y[..., :half]], -1)
    return (y * cos + turned * sin).to(x.dtype)


def project_qkv(
    x: Tensor, layer: Layer, config: BaseConfig, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """q [batch, heads, rows, head_dim], k and v with kv_heads; q and k normed and rotated.

    `x` comes out of the layer's input norm.
    """
    batch, rows, _ = x.shape

    def project(name: str, heads: int) -> Tensor:
        y = linear(
            x, layer[f"self_attn.{name}_proj.weight"], layer.get(f"self_attn.{name}_proj.bias")
        )
        return y.view(batch, rows, heads, config.head_dim).transpose(1, 2)

    q = project("q", config.heads)
    k = project("k", config.kv_heads)
    v = project("v", config.kv_heads)
    if config.qk_norm:
        q = rms_norm(q, layer["self_attn.q_norm.weight"], config.rms_norm_eps)
        k = rms_norm(k, layer["self_attn.k_norm.weight"], config.rms_norm_eps)
    return apply_rope(q, cos, sin), apply_rope(k, cos, sin), v


def project_output(attended: Tensor, layer: Layer) -> Tensor:
    """[batch, heads, rows, head_dim] to [batch, rows, hidden]."""
    return linear(attended.transpose(1, 2).flatten(2), layer["self_attn.o_proj.weight"])


def mlp(x: Tensor, layer: Layer, config: BaseConfig) -> Tensor:
    """The second half of a layer: its norm, the gated MLP, and `x` added."""
    h = rms_norm(x, layer["post_attention_layernorm.weight"], config.rms_norm_eps)
    gate = F.silu(linear(h, layer["mlp.gate_proj.weight"]))
    inner = gate * linear(h, layer["mlp.up_proj.weight"])
    return x + linear(inner, layer["mlp.down_proj.weight"])


def ar_layer(
    x: Tensor, layer: Layer, config: BaseConfig, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One layer over whole sequences, causal. Gives x and this layer's keys and values."""
    h = rms_norm(x, layer["input_layernorm.weight"], config.rms_norm_eps)
    q, k, v = project_qkv(h, layer, config, cos, sin)
    attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return mlp(x + project_output(attended, layer), layer, config), k, v
