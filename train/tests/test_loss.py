import numpy as np
import pytest
import torch

from orthrus_train import loss as loss_module
from orthrus_train.blocks import Blocks, training_blocks
from orthrus_train.loss import KINDS, Loss, weights
from orthrus_train.pair import Pair

B, T, R, K, D, V, RANK = 2, 48, 32, 8, 12, 50, 5
SMOOTHING = 0.3


def one(blocks: Blocks, b: int) -> Blocks:
    return Blocks(*(part[b] for part in blocks))


def weights_in_words(accepting, blocks: Blocks) -> torch.Tensor:
    """A row's weight: the sum, over its block's rows from it on, of how likely each is reached."""
    result = torch.zeros_like(accepting)
    for number in range(int(blocks.block.max()) + 1):
        rows = torch.nonzero(blocks.block == number)[:, 0].tolist()
        reached, product = [], 1.0
        for row in rows:
            product *= (1 - SMOOTHING) * float(accepting[row]) + SMOOTHING
            reached.append(product)
        for i, row in enumerate(rows):
            result[row] = sum(reached[i:])
    return result


@pytest.fixture
def case(rng):
    own = (rng.random((B, T)) < 0.8).astype(np.uint8)
    blocks = training_blocks(rng, own, rows=R, block_size=K)
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    tokens = torch.randint(0, V, (B, T), generator=generator)
    return random(B, R, D), random(B, T, D), random(V, D), blocks, tokens


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(2)
    tables = [torch.randn((V, RANK), generator=generator, dtype=torch.float64) for _ in range(2)]
    pair = Pair(*map(torch.nn.Parameter, tables))
    for table in pair:
        table.grad = torch.zeros_like(table)
    return pair


def by_autograd(student, teacher, head, blocks, tokens, kind, tables=None):
    """The loss as it is defined, a row at a time."""
    student = student.clone().requires_grad_()
    tables = tables and [table.detach().clone().requires_grad_() for table in tables]
    total = 0.0
    for b in range(B):
        p = (teacher[b] @ head.T).softmax(-1)[blocks.positions()[b]]
        logits = student[b] @ head.T
        if tables:
            before = [tokens[b, anchor] for anchor in blocks.positions()[b]]
            logits = logits + torch.stack([tables[1] @ tables[0][token] for token in before])
        q = logits.softmax(-1)
        if kind == "kl":
            rows = (p * (p.log() - q.log())).sum(-1)
            accepting = q.gather(-1, p.argmax(-1, keepdim=True))[:, 0]
        else:
            accepting = torch.minimum(p, q).sum(-1)
            rows = -accepting.log()
        weight = weights_in_words(accepting.detach(), one(blocks, b))
        total = total + (weight * rows).sum() / weight.sum() / B
    total.backward()
    return total.detach(), student.grad, *(table.grad for table in tables or ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [R, 16])
def test_gradient_is_autograds(case, kind, chunk, monkeypatch):
    monkeypatch.setattr(loss_module, "CHUNK", chunk)
    expected_loss, expected = by_autograd(*case, kind)
    gradient, figures = Loss(K, kind, SMOOTHING)(*case)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    mean = sum(float(f.loss) for f in figures) / B
    assert mean == pytest.approx(float(expected_loss), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [R, 16])
def test_gradient_with_the_pairwise_term_is_autograds(case, pair, kind, chunk, monkeypatch):
    monkeypatch.setattr(loss_module, "CHUNK", chunk)
    expected_loss, *expected = by_autograd(*case, kind, pair)
    before = torch.randn(V, RANK, dtype=torch.float64)
    for table in pair:
        table.grad.copy_(before)  # to which is added
    gradient, figures = Loss(K, kind, SMOOTHING)(*case, pair)
    found = [gradient, *(table.grad - before for table in pair)]
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    mean = sum(float(f.loss) for f in figures) / B
    assert mean == pytest.approx(float(expected_loss), rel=1e-9)


def test_tables_of_nothing_change_nothing(case, pair):
    plain, _ = Loss(K)(*case)
    pair.previous.data.zero_()
    gradient, _ = Loss(K)(*case, pair)
    torch.testing.assert_close(gradient, plain, rtol=1e-12, atol=0)
    assert pair.previous.grad.any() and not pair.next.grad.any()


def test_equal_views_have_no_loss(case):
    _, teacher, head, blocks, tokens = case
    student = torch.stack([teacher[b][blocks.positions()[b]] for b in range(B)])
    gradient, figures = Loss(K)(student, teacher, head, blocks, tokens)
    assert gradient.abs().max() < 1e-12
    for b, found in enumerate(figures):
        whole = sum(int((blocks.block[b] == n).sum()) == K for n in blocks.block[b].unique())
        assert int(found.blocks) == whole
        assert found.survived.tolist() == [whole] * K


def test_rows_that_fill_up_weigh_nothing(rng):
    block = torch.tensor([0, 0, 0, -1, 1, 1, -1, -1])
    offset = torch.tensor([0, 1, 2, 0, 0, 1, 0, 0])
    blocks = Blocks(torch.zeros(8, dtype=torch.int64), offset, block)
    accepting = torch.from_numpy(rng.random(8))
    found = weights(accepting, blocks, 4, SMOOTHING)
    torch.testing.assert_close(found, weights_in_words(accepting, blocks))
    assert not found[block < 0].any()


def test_figures_count_drafts_up_to_the_first_wrong_one():
    blocks = Blocks(torch.zeros(6, dtype=torch.int64), torch.arange(6) % 3, torch.arange(6) // 3)
    hit = torch.tensor([True, False, True, True, True, True])
    found = loss_module.figures(torch.tensor(0.0), hit, blocks, 3)
    assert found.survived.tolist() == [2, 1, 1] and int(found.blocks) == 2
