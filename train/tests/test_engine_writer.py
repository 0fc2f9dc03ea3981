"""What the engine writes, by its Python package, is what PyTorch would have written."""

import dataclasses

import orthrus
import pytest
import torch

from orthrus_train import engine_writer
from orthrus_train.base import Base
from orthrus_train.dataset import GREEDY, PROMPT, SAMPLED
from orthrus_train.engine_writer import EngineWriter
from orthrus_train.errors import TrainError
from orthrus_train.prompt_source import ANSWERING, ASKING, WRITING, Prompt, PromptSource
from orthrus_train.vocabulary import choosable, encode, end_ids
from orthrus_train.writer import OPENING_TOKENS, Written

from .test_network import logits_of
from .tiny_bases import REPOSITORY

MODEL = REPOSITORY / "models" / "tiny-code"
LENGTH = 96


@pytest.fixture(scope="module")
def base() -> Base:
    return Base.load(MODEL, dtype=torch.float32)


@pytest.fixture(scope="module")
def engine() -> orthrus.Engine:
    return orthrus.Engine(MODEL, weights="f32")


def check_greedy(base: Base, written: Written) -> None:
    """Each greedy token of its own is the likeliest, or as good as that in other rounding."""
    allowed = choosable(base.tokenizer, base.config.vocab_size, base.config.eos_ids)
    with torch.no_grad():
        logits = logits_of(base, written.tokens.long()).masked_fill(~allowed, -torch.inf)
    best = logits.amax(-1)[:, :-1]
    chosen = logits[:, :-1].gather(-1, written.tokens[:, 1:, None].long())[..., 0]
    is_own = written.own[:, 1:] == GREEDY
    assert is_own.sum() > 100
    assert ((best - chosen)[is_own] < 1e-3).all()


def test_documents(base: Base, engine: orthrus.Engine) -> None:
    writer = EngineWriter(base, engine, 4, LENGTH)
    source = PromptSource(base, [], 1.0, 0.0, LENGTH // 2)
    prompts = source.draw(2, "1") + [
        Prompt(encode(base.tokenizer, text), WRITING, 0, False)
        for text in ("import os\n\n\ndef main(", "class Stack:\n")
    ]
    counted: list[int] = []
    temperatures = [0.0, 1.0, 0.0, 0.7]
    written = writer.write(prompts, temperatures, 7, counted.append)
    assert written.tokens.shape == written.own.shape == (4, LENGTH)
    check_greedy(base, written)
    for row, prompt in enumerate(prompts):
        count = len(prompt.ids)
        assert written.tokens[row, :count].tolist() == prompt.ids
        assert (written.own[row, :count] == PROMPT).all()
    label = torch.tensor([SAMPLED if t else GREEDY for t in temperatures])
    for row in (0, 1):  # as the base begins a document
        assert (written.own[row, 1 : 1 + OPENING_TOKENS] == PROMPT).all()
        assert written.own[row, 1 + OPENING_TOKENS] == label[row]
    for row in (2, 3):
        assert written.own[row, len(prompts[row].ids)] == label[row]
    assert sum(counted) >= 4 * LENGTH - sum(len(p.ids) for p in prompts)
    again = writer.write(prompts[:2] + prompts[2:], temperatures, 7)
    assert torch.equal(again.tokens, written.tokens) and torch.equal(again.own, written.own)
    other = writer.write(prompts, temperatures, 8)
    assert torch.equal(other.tokens[2], written.tokens[2])
    assert not torch.equal(other.tokens[3], written.tokens[3])


def test_a_failing_engine_is_told(base: Base) -> None:
    with orthrus.Engine(MODEL, weights="f32") as closed:
        writer = EngineWriter(base, closed, 2, LENGTH)
    prompts = PromptSource(base, [], 1.0, 0.0, LENGTH // 2).draw(2, "1")
    with pytest.raises(TrainError, match="the engine failed under way: .*closed"):
        writer.write(prompts, [0.0, 0.0], 7)


def test_turns(base: Base, engine: orthrus.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_writer, "QUESTION_TOKENS", 16)
    talking = Base.load(MODEL, dtype=torch.float32)
    talking.config = dataclasses.replace(base.config, chat="chatml")
    header = encode(base.tokenizer, "<|im_start|>user\n")
    answer = encode(base.tokenizer, "\n<|im_start|>assistant\n")
    prompts = [
        Prompt(header, ASKING, 0, False),
        Prompt(header + encode(base.tokenizer, "x<|im_end|>\n"), ANSWERING, 0, False),
    ]
    written = EngineWriter(talking, engine, 2, LENGTH).write(prompts, [0.0, 0.0], 7)
    check_greedy(talking, written)
    ends = set(end_ids(base.tokenizer, base.config.eos_ids))
    tokens, own = written.tokens[0].tolist(), written.own[0].tolist()
    end = next(i for i, token in enumerate(tokens) if token in ends)
    assert end <= 16
    assert tokens[end + 1 : end + 1 + len(answer)] == answer
    assert set(own[: end + 1 + len(answer)]) == {PROMPT}
    assert own[end + 1 + len(answer)] == GREEDY
    assert written.own[1, len(prompts[1].ids)] == GREEDY
