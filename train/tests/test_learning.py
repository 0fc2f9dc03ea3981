import dataclasses

import numpy as np
import pytest
import torch

from orthrus_train.acceptance import GREEDY
from orthrus_train.base import Base
from orthrus_train.dataset import Dataset, Meta, shard_path, write_meta, write_shard
from orthrus_train.diffusion import Passes
from orthrus_train.machine import place_of
from orthrus_train.trainer import Trainer, TrainOptions
from orthrus_train.workers import Workers

from .conftest import MASK
from .tiny_bases import tiny_config


LEARNING = TrainOptions(
    steps=300,
    minutes=None,
    batch=4,
    rows=128,
    block_size=8,
    mask_token_id=MASK,
    learning_rate=3e-3,
    warmup=10,
)


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Base, Dataset]:
    """A random base, and its greedy texts, which are no riddle."""
    base = Base.random(tiny_config(tied=True), seed=6)
    count, length = 192, 96
    ids = torch.randint(0, 256, (count, 1), generator=torch.Generator().manual_seed(7))
    passes = Passes(base, MASK, compiled=False)
    for _ in range(length - 1):
        hidden = passes.teacher(ids).hidden[:, -1]
        ids = torch.cat([ids, (hidden @ base.head.T)[:, :256].argmax(-1, keepdim=True)], 1)
    own = torch.full_like(ids, GREEDY)
    own[:, 0] = 0
    directory = tmp_path_factory.mktemp("data")
    write_meta(directory, Meta(base.fingerprint(), "tiny", 264, length, ("text",)))
    kind = torch.zeros(count)
    write_shard(shard_path(directory, 0, 0), ids, own, kind, torch.arange(count))
    return base, Dataset.open(directory, base, held_out=0.1)


def accepted(trainer: Trainer) -> float:
    return next(r for r in trainer.evaluate() if r["temperature"] == 0)["decoding"]


def test_heads_learn_within_a_minute(greedy, tmp_path):
    """They guess what the base says better and better."""
    trainer = Trainer(*greedy, tmp_path, Workers(place_of("cpu")), LEARNING)
    before = accepted(trainer)
    trainer.run()
    after = accepted(trainer)
    print("accepted", before, after)
    assert np.isfinite(after) and after > before + 0.8


def test_the_pairwise_term_learns(greedy, tmp_path):
    """Which token came right before is what a row of a block lacks most."""
    found = []
    for rank in (0, 32):
        options = dataclasses.replace(LEARNING, steps=150, pair_rank=rank)
        trainer = Trainer(*greedy, tmp_path / str(rank), Workers(place_of("cpu")), options)
        trainer.run()
        found.append(accepted(trainer))
    print("accepted", found)
    assert found[1] > found[0] + 0.15
