import itertools

import numpy as np
import pytest
import torch

from orthrus_train.acceptance import (
    GREEDY,
    SAMPLED,
    Measure,
    Walk,
    Way,
    noise_behind,
    runs,
    walk,
)
from orthrus_train.attention import dense_mask
from orthrus_train.blocks import Blocks
from orthrus_train.diffusion import Passes
from orthrus_train.heads import Heads
from orthrus_train.held_out import ALL, as_records, merged, tally
from orthrus_train.tree import sizes_needed

from .conftest import MASK

K = 8


def test_noise_picks_the_token_and_is_gumbel_noise():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, generator=generator)
    many = scores.expand(200_000, 5)
    picked = torch.distributions.Categorical(logits=scores).sample((len(many),))
    noise = noise_behind(many, picked, generator)
    assert ((many + noise).argmax(-1) == picked).all()
    # Over picks drawn from the softmax, noise given the pick is plain Gumbel noise again.
    assert noise.mean(0).tolist() == pytest.approx([0.5772] * 5, abs=0.02)
    assert noise.var(0).tolist() == pytest.approx([np.pi**2 / 6] * 5, rel=0.03)
    correlation = torch.corrcoef(noise.T) - torch.eye(5)
    assert correlation.abs().max() < 0.02


def test_tree_takes_the_likeliest_paths(rng):
    rows, best = 3, 3
    likely = np.log(rng.dirichlet(np.ones(best), size=(rows, best)))
    nodes = [path for n in range(1, rows + 1) for path in itertools.product(range(best), repeat=n)]

    def cost(path):
        return -sum(likely[i, path[i - 1] if i else 0, c] for i, c in enumerate(path))

    order = sorted(nodes, key=cost)
    for path in itertools.product(range(best), repeat=rows):
        expected = [order.index(path[: n + 1]) + 1 for n in range(rows)]
        assert sizes_needed(likely, path, most_nodes=len(nodes)) == expected
    likeliest = int(likely[0, 0].argmax())
    assert sizes_needed(likely, [likeliest, -1, 0], most_nodes=39) == [1]


def test_walk_goes_from_bonus_to_bonus():
    accepted = np.array([-1, 2, 9, 9, 0, 5, 9, 9, 9, 9])
    # Anchor 1 accepts 2 and the bonus is 4, which accepts none; 5 is the next, with room for two.
    assert walk(accepted, 1, 8) == Walk(cycles=3, accepted=4)
    assert walk(accepted, 1, 2) == Walk()
    assert list(runs(np.array([0, 1, 1, 2, 1, 1]), GREEDY)) == [(1, 2), (4, 5)]
    assert list(runs(np.array([2, 2]), SAMPLED)) == [(0, 1)]


def greedy_texts(base, count: int, length: int) -> np.ndarray:
    """Plain AR decoding from one random token each."""
    passes = Passes(base, MASK, compiled=False)
    ids = torch.randint(0, 256, (count, 1), generator=torch.Generator().manual_seed(4))
    for _ in range(length - 1):
        hidden = passes.teacher(ids).hidden[:, -1]
        ids = torch.cat([ids, (hidden @ base.head.T).argmax(-1, keepdim=True)], 1)
    return ids.numpy()


@torch.no_grad()
def decode(base, heads: Heads, tokens: np.ndarray, drafts: int) -> Walk:
    """Decoding as the engine does it, cycle by cycle, along a greedy text."""
    passes = Passes(base, MASK, compiled=False)
    result, anchor = Walk(), 1
    while anchor < len(tokens) - K:
        ids = torch.from_numpy(tokens[None, : anchor + 1].copy())
        kv = passes.teacher(ids).kv
        rows = torch.arange(drafts)[None]
        blocks = Blocks(torch.full_like(rows, anchor), rows, torch.zeros_like(rows))
        assert dense_mask(blocks, anchor + 1)[0, 0, :, anchor].logical_not().all()
        hidden = passes.student(heads, ids, blocks, kv)[0]
        picks = (hidden @ base.head.T).argmax(-1).numpy()
        right = picks == tokens[anchor + 1 : anchor + 1 + drafts]
        count = int(right.cumprod().sum())
        result.add(Walk(1, count))
        anchor += count + 1
    return result


def test_measured_is_what_decoding_accepts(qwen3):
    tokens = greedy_texts(qwen3, 3, 60)
    own = np.ones_like(tokens, np.uint8)
    own[:, 0] = 0
    heads = Heads(qwen3)
    measure = Measure(Passes(qwen3, MASK, False), heads, K, batch=2, rows=32)
    way = Way(0.0, K - 1)
    found = measure.accepted(tokens, own, [way])
    for text, one in zip(tokens, found, strict=True):
        assert walk(one.ways[way], 1, len(text) - 1) == decode(qwen3, heads, text, K - 1)


def test_a_perfect_view_is_accepted_whole_and_trees_accept_no_less(qwen2):
    tokens = greedy_texts(qwen2, 2, 40)
    own = np.full_like(tokens, GREEDY, np.uint8)
    own[1] = SAMPLED
    ways = [Way(0.0, K), Way(0.7, K), *(Way(t, K, n) for t in (0.0, 0.7) for n in (1, K, 64))]
    measure = Measure(Passes(qwen2, MASK, False), Heads(qwen2), K, batch=2, rows=32)
    found = measure.accepted(tokens, own, ways)
    greedy, sampled = found[0].ways, found[1].ways
    assert (greedy[Way(0.7, K)] == -1).all() and (sampled[Way(0.0, K)] == -1).all()
    used = greedy[Way(0.0, K)] >= 0
    assert used.tolist() == [True] * (40 - K) + [False] * K
    assert (greedy[Way(0.0, K, 1)][used] == (greedy[Way(0.0, K)][used] > 0)).all()
    for way in (greedy, sampled):
        t = 0.0 if way is greedy else 0.7
        assert (way[Way(t, K, 64)] >= way[Way(t, K, K)]).all()

    tallies = tally(found, own, ["code", "prose"])
    both = merged([tallies, tallies])
    key = (Way(0.0, K), "code")
    assert both[key].blocks == 2 * tallies[key].blocks
    assert both[key].decoding == tallies[key].decoding == tallies[Way(0.0, K), ALL].decoding
    record = as_records(tallies)[0]
    assert record["anywhere"] == pytest.approx(sum(record["by_position"]), abs=1e-3)
