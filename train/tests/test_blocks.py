import numpy as np
import pytest

from orthrus_train.blocks import (
    equal_lengths,
    lay_out,
    mixed_lengths,
    training_blocks,
    usable_anchors,
)


def test_mixed_lengths_fill_their_tiles_half_of_them_whole(rng):
    tiles = mixed_lengths(rng, rows=128 * 200, block_size=16)
    assert all(sum(lengths) == 128 for lengths in tiles)
    inner = [n for lengths in tiles for n in lengths[:-1]]
    assert min(inner) == 3 and max(inner) == 16
    assert 0.45 < np.mean([n == 16 for n in inner]) < 0.55
    assert set(range(3, 17)) == set(inner)


def test_equal_lengths_never_cross_a_tile():
    assert equal_lengths(256, 15) == [[15] * 8] * 2
    assert equal_lengths(64, 16) == [[16] * 4]


def test_rows_without_an_anchor_fill_up():
    anchor, offset, block = lay_out([[3, 2, 3], [4, 4]], np.array([5, 9, 11]), rows=16)
    assert block.tolist() == [0, 0, 0, 1, 1, 2, 2, 2] + [-1] * 8
    assert offset[:8].tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert anchor[:8].tolist() == [5, 5, 5, 9, 9, 11, 11, 11]
    assert not anchor[8:].any() and not offset[8:].any()


def test_anchors_are_before_tokens_that_the_base_chose():
    own = np.array([0, 0, 0, 1, 2, 0, 1, 1, 1, 1])
    assert usable_anchors(own, block_size=3).tolist() == [2, 3, 5, 6]


@pytest.mark.parametrize("own_tokens", [100, 10])
def test_training_blocks_prefer_own_text_and_lie_in_the_sequence(rng, own_tokens):
    own = np.zeros((2, 128), np.uint8)
    own[:, 8 : 8 + own_tokens] = 1
    blocks = training_blocks(rng, own, rows=128, block_size=16)
    for anchor, offset, block in zip(*(part.numpy() for part in blocks), strict=True):
        anchors = anchor[offset == 0]
        assert (block >= 0).all() and (np.diff(anchors) > 0).all()
        assert anchors.max() + 16 < 128
        good = np.isin(anchors, usable_anchors(own[0], 16))
        assert good.sum() == min(len(anchors), own_tokens)
