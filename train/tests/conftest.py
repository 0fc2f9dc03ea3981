"""Tiny bases, texts that they wrote, and trainings of them."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from orthrus_train.base import Base  # noqa: E402
from orthrus_train.config import BaseConfig  # noqa: E402
from orthrus_train.dataset import Dataset, Meta, shard_path, write_meta, write_shard  # noqa: E402

MASK = 259  # <|mask|> of the tokenizer of bytes


def config(**changes: object) -> BaseConfig:
    values = dict(
        architecture="qwen3",
        name="tiny",
        vocab_size=264,
        hidden_size=32,
        intermediate_size=64,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        rope_theta=10000.0,
        tied=True,
        qk_norm=True,
    )
    return BaseConfig(**{**values, **changes})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def qwen3() -> Base:
    return Base.random(config(), seed=1)


@pytest.fixture
def qwen2() -> Base:
    return Base.random(
        config(architecture="qwen2", attention_bias=True, qk_norm=False, tied=False), seed=2
    )


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Dataset]:
    """A data directory of random tokens: half of the sequences greedy, half sampled."""

    def make(base: Base, count: int = 24, length: int = 64) -> Dataset:
        generator = torch.Generator().manual_seed(3)
        tokens = torch.randint(0, 256, (count, length), generator=generator)
        own = (torch.arange(count) % 2 + 1)[:, None] * (torch.arange(length) >= 4)
        directory = tmp_path / "data"
        size = base.config.vocab_size
        write_meta(directory, Meta(base.fingerprint(), "tiny", size, length, ("code", "prose")))
        kind = torch.arange(count) % 2
        write_shard(shard_path(directory, 0, 0), tokens, own, kind, torch.arange(count) // 2)
        return Dataset.open(directory, base, held_out=0.2)

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
