"""What a base writes: its own choices are those of a plain loop, and every token has its label."""

from collections.abc import Sequence
from functools import partial

import pytest
import torch

from orthrus_train import writer as writer_module
from orthrus_train.base import Base
from orthrus_train.dataset import GREEDY, PROMPT, SAMPLED
from orthrus_train.prompt_source import ANSWERING, ASKING, OPENING, WRITING, Prompt, PromptSource
from orthrus_train.vocabulary import choosable, encode
from orthrus_train.writer import OPENING_TOKENS, Writer, Written

from .test_network import logits_of
from .tiny_bases import END, talker, tiny_config

LENGTH = 96
START_OF_USER = "\n<|im_start|>user\n"
START_OF_ANSWER = "\n<|im_start|>assistant\n"


def prompts_of(base: Base) -> list[Prompt]:
    texts = [
        ("<|im_start|>user\n", ASKING),
        ("<|im_start|>user\nhi<|im_end|>" + START_OF_ANSWER, ANSWERING),
        ("def f(x):\n", WRITING),
        ("x" * 40, WRITING),
    ]
    ids = [(encode(base.tokenizer, text), role) for text, role in texts]
    return [Prompt(i, role, 0, False) for i, role in ids]


def write(
    base: Base, prompts: Sequence[Prompt], temperatures: list[float], seed: int = 1
) -> Written:
    return Writer(base, len(prompts), LENGTH, 48).write(prompts, temperatures, seed)


@pytest.mark.parametrize("span", [16, 256])
@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_greedy_choices_are_those_of_a_plain_loop(
    monkeypatch: pytest.MonkeyPatch, architecture: str, span: int
) -> None:
    monkeypatch.setattr(writer_module, "SPAN", span)
    base = talker(architecture=architecture)
    written = write(base, prompts_of(base), [0.0] * 4)
    allowed = choosable(base.tokenizer, base.config.vocab_size, base.config.eos_ids)
    # The whole text at once, no cache: the row before each token of its own chooses it.
    logits = logits_of(base, written.tokens.long()).masked_fill(~allowed, -torch.inf)
    is_own = written.own[:, 1:] == GREEDY
    assert is_own.sum() > 150
    assert torch.equal(logits.argmax(-1)[:, :-1][is_own].int(), written.tokens[:, 1:][is_own])
    assert not (written.own == SAMPLED).any()


def expected_labels(base: Base, prompt: Prompt, tokens: list[int], label: int) -> list[int]:
    """From the tokens alone: who wrote each."""
    ends = {END, base.tokenizer.token_to_id("<|endoftext|>")}
    labels, role = [PROMPT] * len(prompt.ids), prompt.role
    while len(labels) < len(tokens):
        labels.append(label if role in (ANSWERING, WRITING) else PROMPT)
        if tokens[len(labels) - 1] not in ends:
            continue
        role = ANSWERING if role == ASKING else ASKING
        header = encode(base.tokenizer, START_OF_ANSWER if role == ANSWERING else START_OF_USER)
        at = len(labels)
        assert tokens[at : at + len(header)] == header[: len(tokens) - at]
        labels += [PROMPT] * len(header)
    return labels[: len(tokens)]


def test_turns_follow_each_other_and_labels_say_who_wrote() -> None:
    base = talker()
    prompts = prompts_of(base) * 4
    temperatures = [0.0, 0.7, 1.0, 0.0, 1.0, 1.0, 0.0, 0.7] * 2
    written = write(base, prompts, temperatures)
    turns = 0
    for row, prompt in enumerate(prompts):
        tokens = written.tokens[row].tolist()
        assert tokens[: len(prompt.ids)] == prompt.ids
        label = SAMPLED if temperatures[row] else GREEDY
        assert written.own[row].tolist() == expected_labels(base, prompt, tokens, label)
        turns += tokens[len(prompt.ids) :].count(END)
    assert turns > 10


def test_the_seed_decides_what_is_sampled_and_nothing_else() -> None:
    base = talker()
    prompts = [prompts_of(base)[2]] * 3
    temperatures = [0.0, 1.0, 1.0]
    one, same, other = (write(base, prompts, temperatures, seed) for seed in (5, 5, 6))
    assert torch.equal(one.tokens, same.tokens) and torch.equal(one.own, same.own)
    assert torch.equal(one.tokens[0, :20], other.tokens[0, :20])
    assert not torch.equal(one.tokens[1], one.tokens[2])
    assert not torch.equal(one.tokens[1], other.tokens[1])


def test_a_writer_forgets_what_it_wrote_before() -> None:
    base = talker()
    prompts, temperatures = prompts_of(base), [0.0, 1.0, 0.7, 0.0]
    writer = Writer(base, 4, LENGTH, 48)
    first = writer.write(prompts, temperatures, 3)
    writer.write(prompts[::-1], temperatures, 9)
    again = writer.write(prompts, temperatures, 3)
    assert torch.equal(first.tokens, again.tokens) and torch.equal(first.own, again.own)


def test_what_is_compiled_chooses_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler's reading of the functions, whole, without what it makes of them for a device.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    base = talker(architecture="qwen2")
    prompts, temperatures = prompts_of(base), [0.0, 1.0, 0.7, 0.0]
    plain, compiled = (
        Writer(base, 4, LENGTH, 48, compiles).write(prompts, temperatures, 3)
        for compiles in (False, True)
    )
    assert torch.equal(plain.tokens, compiled.tokens) and torch.equal(plain.own, compiled.own)


def test_ids_that_no_text_has_are_never_chosen() -> None:
    base = talker()
    special = [base.tokenizer.token_to_id(t) for t in ("<|im_start|>", "<|mask|>")]
    base.head[[*special, 260, 261, 262, 263]] *= 50  # now the likeliest of all
    written = write(base, prompts_of(base), [0.0, 0.7, 1.0, 1.0])
    own = written.tokens[written.own != PROMPT]
    assert own.numel() > 100
    assert not torch.isin(own, torch.tensor([*special, 260, 261, 262, 263])).any()


def test_long_questions_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUESTION_TOKENS", 20)
    base = Base.random(tiny_config(), 1)  # one that hardly ends by itself
    prompts = prompts_of(base)[:1] * 8
    written = write(base, prompts, [0.0] * 8)
    for tokens, own in zip(written.tokens.tolist(), written.own.tolist(), strict=True):
        assert END in tokens[len(prompts[0].ids) : 21]
        assert own == expected_labels(base, prompts[0], tokens, GREEDY)


def test_a_base_without_chat_begins_documents() -> None:
    base = talker(chat="none")
    prompts = PromptSource(base, [], 1.0, 0.0, 48).draw(4, "0")
    end_of_text = base.tokenizer.token_to_id("<|endoftext|>")
    assert all(p.role == OPENING and p.ids == [end_of_text] for p in prompts)
    written = write(base, prompts, [0.0] * 4)
    ends = torch.tensor([END, end_of_text])
    for tokens, own in zip(written.tokens, written.own, strict=True):
        since = 0  # tokens since the text before ended
        for position in range(1, LENGTH):
            since += 1
            assert own[position] == (GREEDY if since > OPENING_TOKENS else PROMPT)
            since = 0 if torch.isin(tokens[position], ends) else since


def test_thinking_is_opened_and_closed_unless_it_is_wanted() -> None:
    base = talker(chat="qwen3")
    prompts = [
        Prompt(encode(base.tokenizer, "<|im_start|>user\n"), ASKING, 0, t) for t in (True, False)
    ]
    written = write(base, prompts * 8, [0.0] * 16)
    empty = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    seen = [0, 0]
    for row, tokens in enumerate(written.tokens.tolist()):
        text = base.tokenizer.decode(tokens[:80], skip_special_tokens=False)
        if "assistant\n" in text:
            assert (empty in text) == (row % 2 == 1)
            seen[row % 2] += 1
    assert min(seen) > 0
