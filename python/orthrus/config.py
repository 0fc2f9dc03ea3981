"""What a model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SuggestedSampling:
    """What the checkpoint's generation_config.json suggests; greedy where it says nothing."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]


@dataclass(frozen=True)
class ModelConfig:
    """A network's shape, checked, and how it was loaded. Names are Hugging Face's."""

    architecture: str
    """"OrthrusLM", "Qwen3ForCausalLM" or "Qwen2ForCausalLM"."""
    name: str
    """As the checkpoint calls itself, or ""."""
    dtype: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int
    """The longest context, prompt and output together, in tokens."""
    tie_word_embeddings: bool
    eos_token_ids: tuple[int, ...]
    stop_strings: tuple[str, ...]
    warnings: tuple[str, ...]
    """What the checkpoint asks for that is not done, a sentence each."""
    block_size: int
    """Most tokens of a draft block; 0 without a diffusion view."""
    mask_token_id: int
    pair_rank: int
    """Columns of the tables of the drafts' pairwise term; 0 without."""
    weight_types: tuple[str, ...]
    """Types of the matrices in use, those with the most bytes first: "q4_k"."""
    draft_weight_types: tuple[str, ...]
    """The same of what drafts are made with; empty without a diffusion view."""
    widened_types: tuple[str, ...]
    """The file's types of which some matrices are BF16 in memory: a CUDA device was asked for BF16,
    or multiplies with two of them at once that do not fit one form."""
    kv_cache: str
    device: str
    """"cpu" or "cuda:0"."""
    threads: int
    chat_format: str
    """"qwen2.5" and the like; "none" or "unknown" where `chat` cannot be used."""
    has_tokenizer: bool
    generation: SuggestedSampling

    @property
    def has_diffusion_view(self) -> bool:
        return self.block_size > 0


@dataclass(frozen=True)
class EngineLoad:
    """What an engine is doing, and what it has done since it was loaded."""

    batch: int
    """Requests that run together at most."""
    running: int
    """Requests whose keys and values are in the cache."""
    waiting: int
    """Requests that wait for their turn."""
    cache_pages: int
    """Pages, of 64 positions, that the cache may have."""
    pages_in_use: int
    cached_pages: int
    """Pages of what ended requests have left behind."""
    prefix_queries: int
    """Prompt tokens that were looked for in the cache..."""
    prefix_hits: int
    """... and those that it had."""
    preemptions: int


def model_config(
    native: dict[str, Any], generation: dict[str, Any], chat_format: str, has_tokenizer: bool
) -> ModelConfig:
    return ModelConfig(
        **native,
        chat_format=chat_format,
        has_tokenizer=has_tokenizer,
        generation=SuggestedSampling(**generation),
    )
