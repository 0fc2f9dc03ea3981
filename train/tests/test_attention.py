import torch

from orthrus_train.attention import attend, dense_mask, sparse_mask
from orthrus_train.blocks import training_blocks

T, R = 64, 32


def some_blocks(rng):
    own = (rng.random((2, T)) < 0.7).astype("uint8")
    return training_blocks(rng, own, rows=R, block_size=8)


def row_sees(blocks, b: int, row: int, key: int) -> bool:
    """The rule, in words: earlier than my anchor, or a row of my block."""
    if key < T:
        return key < int(blocks.anchor[b, row])
    return int(blocks.block[b, row]) == int(blocks.block[b, key - T])


def test_dense_mask_is_the_rule(rng):
    blocks = some_blocks(rng)
    mask = dense_mask(blocks, T)
    assert mask.shape == (2, 1, R, T + R)
    for b in range(2):
        for row in range(R):
            expected = [row_sees(blocks, b, row, key) for key in range(T + R)]
            assert mask[b, 0, row].tolist() == expected


def test_sparse_mask_is_the_rule(rng):
    blocks = some_blocks(rng)
    mask = sparse_mask(blocks, T)
    index = torch.arange(T + R)
    for b in range(2):
        for row in range(R):
            seen = mask.mask_mod(torch.tensor(b), torch.tensor(0), torch.tensor(row), index)
            assert seen.tolist() == dense_mask(blocks, T)[b, 0, row].tolist()


def test_attention_is_softmax_over_what_is_seen(rng):
    blocks = some_blocks(rng)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, R, 8, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, 2, 2, T + R, 8, generator=generator, dtype=torch.float64)
    result = attend(q, k, v, dense_mask(blocks, T))
    for b in range(2):
        for head in range(4):
            for row in range(R):
                seen = [key for key in range(T + R) if row_sees(blocks, b, row, key)]
                scores = k[b, head // 2, seen] @ q[b, head, row] / 8**0.5
                expected = scores.softmax(-1) @ v[b, head // 2, seen]
                torch.testing.assert_close(result[b, head, row], expected)
