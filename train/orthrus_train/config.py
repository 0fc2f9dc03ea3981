"""What a base is: its architecture as sizes and flags, and the shapes that follow from them."""

import dataclasses
from dataclasses import dataclass

from .errors import TrainError


@dataclass(frozen=True)
class BaseConfig:
    """A frozen checkpoint's configuration. Names are ours; sizes are in elements."""

    architecture: str  # "qwen2" or "qwen3"
    vocab_size: int  # rows of the embedding; the tokenizer may have fewer tokens
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    name: str = ""
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    tied: bool = False  # the head is the embedding
    attention_bias: bool = False  # of q, k and v: Qwen2
    qk_norm: bool = False  # of each head of q and k: Qwen3
    max_positions: int = 32768
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()  # all tokens that end a text or a message
    pad_id: int | None = None
    chat: str = "none"  # a key of chat.FORMATS

    def check(self, where: str) -> None:
        """Throws TrainError for sizes that do not fit together."""
        if self.heads % self.kv_heads != 0:
            raise TrainError(
                f"{where}: the number of key-value heads is {self.kv_heads}; it must divide the "
                f"number of heads, which is {self.heads}."
            )
        if self.head_dim < 2 or self.head_dim % 2 != 0:
            raise TrainError(
                f"{where}: the width of a head is {self.head_dim}; it must be even and at least 2."
            )

    def as_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)


def attention_shapes(config: BaseConfig) -> dict[str, tuple[int, ...]]:
    """The tensors of one layer's attention, of either view, and their shapes."""
    hidden = config.hidden_size
    q = config.heads * config.head_dim
    kv = config.kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (q, hidden),
        "self_attn.k_proj.weight": (kv, hidden),
        "self_attn.v_proj.weight": (kv, hidden),
        "self_attn.o_proj.weight": (hidden, q),
    }
    if config.attention_bias:
        shapes["self_attn.q_proj.bias"] = (q,)
        shapes["self_attn.k_proj.bias"] = (kv,)
        shapes["self_attn.v_proj.bias"] = (kv,)
    if config.qk_norm:
        shapes["self_attn.q_norm.weight"] = (config.head_dim,)
        shapes["self_attn.k_norm.weight"] = (config.head_dim,)
    return shapes


def layer_shapes(config: BaseConfig) -> dict[str, tuple[int, ...]]:
    """All tensors of one layer, and their shapes."""
    hidden, inner = config.hidden_size, config.intermediate_size
    return {
        "input_layernorm.weight": (hidden,),
        **attention_shapes(config),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }


def tensor_shapes(config: BaseConfig) -> dict[str, tuple[int, ...]]:
    """All tensors of the network by their full names, as Hugging Face has them."""
    matrix = (config.vocab_size, config.hidden_size)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": matrix}
    for i in range(config.layers):
        for name, shape in layer_shapes(config).items():
            shapes[f"model.layers.{i}.{name}"] = shape
    shapes["model.norm.weight"] = (config.hidden_size,)
    if not config.tied:
        shapes["lm_head.weight"] = matrix
    return shapes
