import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from orthrus_train import checkpoint, heads_file
from orthrus_train.acceptance import GREEDY, Measure, Way
from orthrus_train.diffusion import Passes
from orthrus_train.errors import TrainError
from orthrus_train.heads import Heads
from orthrus_train.machine import place_of
from orthrus_train.pair import CANDIDATES, Pair
from orthrus_train.trainer import Trainer
from orthrus_train.workers import Workers

from .conftest import MASK
from .test_trainer import OPTIONS

V, RANK = 80, 6


def random(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def pair() -> Pair:
    return Pair(*(torch.nn.Parameter(random(V, RANK, seed=s)) for s in (1, 2)))


def with_tables(base, rank: int = 32) -> Heads:
    heads = Heads(base, rank)
    heads.values.data.add_(torch.randn(heads.values.shape) * 0.01)
    return heads


def test_tables_begin_without_a_term_and_alike(qwen3):
    first, second = Heads(qwen3, 64), Heads(qwen3, 64)
    assert torch.equal(first.values, second.values)
    previous, following = first.pair
    assert not previous.any()
    assert following.square().sum(-1).mean().item() == pytest.approx(4, rel=1e-4)
    # A projection: what is alike in the LM head stays alike.
    cosine = torch.nn.functional.cosine_similarity
    alike = cosine(qwen3.head[:, None], qwen3.head[None], dim=-1).flatten()
    stays = cosine(following[:, None], following[None], dim=-1).flatten()
    assert torch.corrcoef(torch.stack([alike, stays]))[0, 1] > 0.6
    # All lies in one buffer, layers first, and its gradient in another.
    assert following.data.data_ptr() + 4 * following.numel() == (
        first.values.data_ptr() + 4 * first.values.numel()
    )
    following.grad.fill_(1)
    assert first.gradient.sum() == following.numel()
    plain = Heads(qwen3)
    assert torch.equal(first.values[: len(plain.values)], plain.values)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_drafts_are_chosen_among_the_best_without_the_term(pair, temperature):
    rows = 40
    scores = random(rows, V, seed=3)
    before = torch.arange(rows) * 2
    found = pair.drafts(scores, before, temperature)
    of_all = 0
    for row in range(rows):
        term = pair.next @ pair.previous[before[row]] / (temperature or 1)
        full = scores[row] + term
        best = sorted(range(V), key=lambda v: -scores[row, v])[:CANDIDATES]
        assert found[row] == max(best, key=lambda v: full[v])
        of_all += int(found[row] == full.argmax())
    assert 0 < of_all < rows  # it shows that only some are looked at


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_candidates_given_each_token_before_them(pair, temperature):
    blocks, rows, count, t = 2, 3, 4, temperature or 1.0
    logits = random(blocks, rows, V, seed=3)
    best = (logits / t).topk(count, -1)
    marginals = best.values - (logits / t).logsumexp(-1, keepdim=True)
    anchor = torch.tensor([7, 70])
    found = pair.conditional(marginals, best.indices, anchor, temperature)
    for b in range(blocks):
        for i in range(rows):
            for p in range(count):
                token = anchor[b] if i == 0 else best.indices[b, i - 1, p]
                scores = logits[b, i].clone()  # only candidates have the term
                mine = best.indices[b, i]
                scores[mine] += pair.next[mine] @ pair.previous[token]
                expected = (scores / t).log_softmax(-1)[mine]
                torch.testing.assert_close(found[b, i, p], expected)


def test_measured_with_tables_is_drafting_along_the_chain(qwen3):
    """Measured with the text's tokens before each row; drafted with the drafts before them."""
    size, length = 8, 40
    passes = Passes(qwen3, MASK, compiled=False)
    ids = torch.randint(0, 256, (1, length), generator=torch.Generator().manual_seed(4))
    heads = Heads(qwen3, 32)
    generator = torch.Generator().manual_seed(5)
    heads.pair.previous.data.normal_(0, 0.5, generator=generator)
    measure = Measure(passes, heads, size, batch=1, rows=32)
    way = Way(0.0, size)
    own = np.full((1, length), GREEDY, np.uint8)
    with torch.no_grad():
        # A text of the base's own picks.
        for position in range(length - 1):
            pick = (passes.teacher(ids).hidden[0, position] @ qwen3.head.T).argmax()
            ids[0, position + 1] = pick
        teacher = passes.teacher(ids)
        found = measure.accepted(ids.numpy(), own, [way])[0].ways[way]
        counts = []
        for anchor in range(length - size):
            blocks = next(iter(measure._passes(own * 0 + (np.arange(length) == anchor), size)))[1]
            hidden = passes.student(heads, ids, blocks, teacher.kv)[0, :size]
            before, count = ids[0, anchor], 0
            for row in range(size):
                scores = (hidden[row] @ qwen3.head.T)[None]
                draft = heads.pair.drafts(scores, before[None], 0.0)[0]
                if draft != ids[0, anchor + 1 + row]:
                    break
                before, count = draft, count + 1
            counts.append(count)
    assert found[: length - size].tolist() == counts
    assert sum(counts) > 0 and min(counts) < size


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_tables_come_back(qwen2, ending, tmp_path):
    heads, other = with_tables(qwen2), Heads(qwen2, 32)
    path = tmp_path / f"heads.{ending}"
    heads_file.write(heads.in_file(8, 259, "tiny"), path)
    assert other.load(path).pair_rank == 32
    for one, back in zip(heads.pair, other.pair, strict=True):
        largest = float(one.abs().max())
        assert largest > 0.01
        # BF16; or Q4_0, whose steps are an eighth of a block's largest number.
        rtol, atol = (2**-8, 0) if ending == "safetensors" else (0, largest / 7.9)
        torch.testing.assert_close(back.data, one.data, rtol=rtol, atol=atol)


def test_names_are_the_engines(qwen3, tmp_path):
    import gguf

    file = with_tables(qwen3).in_file(8, 259, "tiny")
    heads_file.write(file, tmp_path / "heads.gguf")
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "heads.gguf").tensors}
    for name in ("pair_previous_diff.weight", "pair_next_diff.weight"):
        assert f"model.{name}" in file.tensors
        assert tensors[name].tensor_type == gguf.GGMLQuantizationType.Q4_0
        assert tensors[name].shape.tolist() == [32, 264]


def test_heads_without_tables_can_be_begun_with(qwen3, tmp_path):
    path = tmp_path / "heads.safetensors"
    plain = with_tables(qwen3, 0)
    heads_file.write(plain.in_file(8, 259, "tiny"), path)
    heads = Heads(qwen3, 32)
    heads.load(path)
    assert torch.equal(heads.pair.next, Heads(qwen3, 32).pair.next)
    torch.testing.assert_close(
        heads.values[: len(plain.values)], plain.values, rtol=2**-8, atol=0
    )


def test_tables_that_do_not_fit_are_told(qwen3, tmp_path):
    path = tmp_path / "heads.safetensors"
    tensors = with_tables(qwen3).in_file(8, 259, "tiny").tensors

    def told(message: str, rank: int = 32, **changes: np.ndarray | None) -> None:
        names = {"previous": heads_file.PREVIOUS, "next": heads_file.NEXT}
        changed = tensors | {names[name]: table for name, table in changes.items()}
        save_file({name: t for name, t in changed.items() if t is not None}, path)
        with pytest.raises(TrainError, match=message):
            Heads(qwen3, rank).load(path)

    told("has the rank 32, and these heads' has 64; give --pair-rank 32", rank=64)
    told("has the rank 32, and these heads' has 0", rank=0)
    told("has model.pair_next_diff.weight, but not model.pair_prev", previous=None)
    told("has model.pair_previous_diff.weight, but not model.pair_next", next=None)
    for shape in ((264,), (264, 33), (264, 64), (264, 288), (32, 264, 1), (), (264, 0)):
        told("pair_.*_diff.weight is .*multiple of 32", next=np.zeros(shape, np.float32))
    few = np.zeros((200, 32), np.float32)
    told(r"pair_.*is \[200, 32\]; this base needs \[264, 32\]", previous=few, next=few)
    told("pair_next_diff.* not finite", next=np.full((264, 32), np.nan, np.float32))


def test_tables_resume(qwen3, texts, tmp_path):
    data = texts(qwen3)
    workers = Workers(place_of("cpu"))

    def train(directory, **changes) -> Trainer:
        options = dataclasses.replace(OPTIONS, pair_rank=32, **changes)
        trainer = Trainer(qwen3, data, directory, workers, options)
        trainer.run()
        return trainer

    # The learning rate must be that of the whole, so the first half is steps of it.
    whole = train(tmp_path / "whole")
    options = dataclasses.replace(OPTIONS, pair_rank=32)
    half = Trainer(qwen3, data, tmp_path / "parts", workers, options)
    for step in range(3):
        half.step(step / OPTIONS.steps)
        half.reached.step += 1
    (tmp_path / "parts").mkdir(exist_ok=True)
    checkpoint.save(tmp_path / "parts", half.heads, half.optimizer, half.identity, half.reached)
    stored = checkpoint.heads_in(tmp_path / "parts" / checkpoint.NAME)
    for name, value in half.heads.named().items():
        assert np.array_equal(stored.tensors[name], value.numpy())
    resumed = train(tmp_path / "parts", resume=True)
    assert torch.equal(resumed.heads.values, whole.heads.values)
    begun = Heads(qwen3, 32).pair
    for table, before in zip(whole.heads.pair, begun, strict=True):
        assert not torch.equal(table, before)
    with pytest.raises(TrainError, match="made with pair_rank 32"):
        Trainer(
            qwen3, data, tmp_path / "parts", workers, dataclasses.replace(OPTIONS, resume=True)
        )


def test_sequences_at_a_time_do_not_matter_to_tables(qwen3, texts, tmp_path):
    data, gradients = texts(qwen3), []
    for at_a_time in (1, 2):
        options = dataclasses.replace(OPTIONS, pair_rank=32)
        trainer = Trainer(qwen3, data, tmp_path, Workers(place_of("cpu")), options)
        trainer.heads.pair.previous.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
        trainer.at_a_time = at_a_time
        seen = []
        trainer.optimizer.step = lambda: seen.append(trainer.heads.gradient.clone())
        trainer.step(0.0)
        gradients += seen
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
    assert gradients[0][-2 * 264 * 32 :].any()
