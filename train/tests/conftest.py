"""Tiny bases, texts that they wrote, and trainings of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from orthrus_train.base import Base
from orthrus_train.dataset import Dataset, Meta, shard_path, write_meta, write_shard

from .tiny_bases import tiny_config

MASK = 259  # <|mask|> of the tokenizer of bytes


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def qwen3() -> Base:
    return Base.random(tiny_config(name="tiny", tied=True), seed=1)


@pytest.fixture
def qwen2() -> Base:
    return Base.random(tiny_config("qwen2", name="tiny"), seed=2)


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
