"""How a prompt is continued."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from . import _check, _native
from .config import ModelConfig
from .errors import UsageError

_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How a prompt is continued. Names are vLLM's where vLLM has them.

    What is left out (None) is what the checkpoint's generation_config.json suggests, else greedy:
    as for `orthrus generate` and `orthrus serve`. `SamplingParams(temperature=0)` is greedy
    whatever the checkpoint says. The output is a pure function of weights, prompt, these and the
    seed, whatever mode, block_size, threads, batch or cache.
    """

    n: int = 1
    """1..128: so many choices; choice i is what seed + i gives."""
    max_tokens: int | None = 256
    """Most tokens to generate, >= 1; None: all that the context leaves."""
    temperature: float | None = None
    """0..100; 0 is greedy."""
    top_p: float | None = None
    """Above 0, up to 1: keep the fewest likeliest tokens that together have this probability."""
    top_k: int | None = None
    """Keep the k likeliest tokens; 0 or -1: all."""
    min_p: float | None = None
    """0..1: keep tokens at least min_p times as likely as the likeliest."""
    seed: int | None = None
    """0..2^64 - 1. None: at a temperature one is drawn, and told as Generation.seed."""
    stop: str | Sequence[str] | None = None
    """Strings, or special tokens by name, before which the text ends, beside the checkpoint's."""
    stop_token_ids: Sequence[int] | None = None
    """Further tokens that end it: the last of token_ids, and not in the text."""
    ignore_eos: bool = False
    """Go on after the ends that the checkpoint asks for."""
    logprobs: int | None = None
    """Log-probabilities of each token, beside those of the 0..20 likeliest."""
    prompt_logprobs: int | None = None
    """The same of the prompt's tokens, but the first."""
    presence_penalty: float | None = None
    """-2..2."""
    frequency_penalty: float | None = None
    """-2..2."""
    repetition_penalty: float | None = None
    """Up to 100; 1 is none."""
    logit_bias: Mapping[int, float] | None = None
    """Token id to what is added to its logit, -100..100, or -inf; added to the checkpoint's."""

    mode: Literal["ar", "dual", "auto"] = "auto"
    """Speed only: plain decoding, drafts of whole blocks always, or drafts where they pay."""
    block_size: int | None = None
    """Speed only: most tokens of a draft block, 2..config.block_size."""
    tree_nodes: int | None = None
    """Speed only: most nodes of a draft tree, 2..128, or 0 for chains; by default 32 in mode
    "auto", else 0."""
    lookup: bool = True
    """Speed only: in mode "auto", verify what followed where the same tokens stood before."""
    accept: Literal["match", "rejection"] = "match"
    """"rejection" keeps the distribution only, not the tokens of plain decoding."""
    prefill_chunk: int | None = None
    """Speed only: most tokens of this prompt in one pass."""

    def __post_init__(self) -> None:
        # numpy's integers, too, become Python's, which do not overflow.
        object.__setattr__(self, "n", _check.integer("n", self.n, 1, 128))
        if self.seed is not None:
            object.__setattr__(self, "seed", _check.integer("seed", self.seed, 0, _SEEDS - 1))


@dataclass(frozen=True)
class RequestSettings:
    """What a request has beside its sampling."""

    priority: int = 0
    cache_salt: str = ""


def seeded(params: SamplingParams, config: ModelConfig) -> SamplingParams:
    """With every choice of its own made: its seed is drawn, where it has none."""
    if params.seed is not None:
        return params
    suggested = config.generation.temperature
    temperature = suggested if params.temperature is None else params.temperature
    # A short one, which people can type, and which JSON's readers keep.
    return replace(params, seed=secrets.randbits(32) if temperature != 0 else 0)


def native_options(
    params: SamplingParams, config: ModelConfig, settings: RequestSettings, choice: int = 0
) -> _native.Options:
    """As the extension takes them. `params` has a seed."""
    p, suggested = params, config.generation
    o = _native.Options()
    o.max_tokens = (
        _check.INT_MAX
        if p.max_tokens is None
        else _check.integer("max_tokens", p.max_tokens, 1, _check.INT_MAX)
    )
    for name in (
        "temperature",
        "top_p",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
    ):
        value = getattr(p, name)
        setattr(o, name, getattr(suggested, name) if value is None else _check.number(name, value))
    top_k = (
        suggested.top_k if p.top_k is None else _check.integer("top_k", p.top_k, -1, _check.INT_MAX)
    )
    o.top_k = max(top_k, 0)
    o.seed = ((p.seed or 0) + choice) % _SEEDS
    o.ignore_eos = _check.boolean("ignore_eos", p.ignore_eos)
    stop = [] if o.ignore_eos or not config.has_tokenizer else list(config.stop_strings)
    o.stop = stop + ([] if p.stop is None else _check.texts("stop", p.stop))
    if p.stop_token_ids is not None:
        o.stop_token_ids = _check.token_ids("stop_token_ids", p.stop_token_ids).tolist()
    for name in ("logprobs", "prompt_logprobs"):
        if getattr(p, name) is not None:
            setattr(o, name, _check.integer(name, getattr(p, name), 0, 20))
    for token, bias in suggested.logit_bias.items():
        o.bias(token, bias)
    if p.logit_bias is not None:
        if not isinstance(p.logit_bias, Mapping):
            raise TypeError(f"logit_bias is {p.logit_bias!r}; it must be a dict of token ids")
        for token, bias in p.logit_bias.items():
            token = _check.integer("logit_bias: a token", token, 0, _check.INT_MAX)
            o.bias(token, _check.number(f"logit_bias of token {token}", bias))
    o.set_mode(_check.text("mode", p.mode))
    o.set_accept(_check.text("accept", p.accept))
    if p.block_size is not None:
        o.block_size = _check.integer("block_size", p.block_size, 2, _check.INT_MAX)
    if p.tree_nodes is not None:
        o.tree_nodes = _check.integer("tree_nodes", p.tree_nodes, 0, 128)
    o.lookup = _check.boolean("lookup", p.lookup)
    if p.prefill_chunk is not None:
        o.prefill_chunk = _check.integer("prefill_chunk", p.prefill_chunk, 1, _check.INT_MAX)
    o.priority = _check.integer("priority", settings.priority, -(2**31), _check.INT_MAX)
    o.cache_salt = _check.text("cache_salt", settings.cache_salt)
    return o


def for_each(
    params: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> list[SamplingParams]:
    """One for each of `count` prompts."""
    if params is None:
        return [SamplingParams()] * count
    if isinstance(params, SamplingParams):
        return [params] * count
    if not isinstance(params, Sequence) or not all(isinstance(p, SamplingParams) for p in params):
        raise TypeError(f"params is {params!r}; it must be SamplingParams, or a list of them")
    if len(params) != count:
        raise UsageError(f"params has {len(params)} SamplingParams for {_check.counted(count, 'prompt')}.")
    return list(params)
