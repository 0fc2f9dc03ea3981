"""The AR network against transformers'."""

from pathlib import Path

import pytest
import torch
import transformers

from orthrus_train.base import Base
from orthrus_train.network import ar_layer, rope_tables

from .tiny_bases import random_tensors, tiny_config, write_huggingface


def logits_of(base: Base, ids: torch.Tensor) -> torch.Tensor:
    x = base.embed[ids]
    cos, sin = rope_tables(base.config, torch.arange(ids.shape[1]))
    for layer in base.layers:
        x, _, _ = ar_layer(x, layer, base.config, cos, sin)
    return base.logits(x)


@pytest.mark.parametrize("architecture,tied", [("qwen2", False), ("qwen2", True), ("qwen3", False)])
def test_logits_are_those_of_transformers(tmp_path: Path, architecture: str, tied: bool) -> None:
    config = tiny_config(architecture, tied=tied, head_dim=32, rope_theta=50000.0)
    tensors = random_tensors(config)
    base = Base.load(
        write_huggingface(tmp_path, config, tensors, model_type=architecture), dtype=torch.float32
    )
    reference_config = transformers.AutoConfig.from_pretrained(tmp_path)
    reference_config.head_dim = config.head_dim
    reference = transformers.AutoModelForCausalLM.from_config(reference_config).eval()
    names = {n for n, _ in reference.named_parameters()}
    assert names == set(tensors)
    reference.load_state_dict(tensors, strict=not tied)
    ids = torch.randint(0, config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = reference(ids).logits
    torch.testing.assert_close(logits_of(base, ids), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_activations_stay_near_float32() -> None:
    config = tiny_config()
    exact = Base.random(config, 3)
    rounded = Base.random(config, 3, dtype=torch.bfloat16)
    ids = torch.randint(0, 256, (1, 32), generator=torch.Generator().manual_seed(8))
    expected, got = logits_of(exact, ids), logits_of(rounded, ids)
    assert got.dtype == torch.float32
    assert (got - expected).norm() < 0.03 * expected.norm()
