"""`generate`: what it keeps, and that it goes on where it was left."""

import argparse
from pathlib import Path

import pytest
import torch

from orthrus_train import generate
from orthrus_train.base import Base
from orthrus_train.dataset import Dataset, shard_paths
from orthrus_train.errors import TrainError
from orthrus_train.writer import Writer, Written

from .tiny_bases import talker, tensors_of, write_huggingface


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = talker()
    return write_huggingface(tmp_path_factory.mktemp("base"), base.config, tensors_of(base))


def run(model: Path, out: Path, *words: str) -> None:
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    usual = ["--model", str(model), "--out", str(out), "--device", "cpu", "--length", "64"]
    usual += ["--writer", "torch"]
    generate.run(parser.parse_args([*usual, "--batch", "12", "--min-own", "0.05", *words]))


def test_what_is_left_is_told_until_nothing_is() -> None:
    place = argparse.Namespace(world=1)
    later = generate.Progress(place, argparse.Namespace(minutes=5.0, tokens=None), tokens=0)
    assert later.left() == "5.0 min left"
    over = generate.Progress(place, argparse.Namespace(minutes=0.0, tokens=None), tokens=0)
    assert over.left() == "this round is the last"


def contents(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(model, whole, "--tokens", "1600")
    assert len(shard_paths(whole)) >= 3
    step, steps = Writer._step, 0

    def killed(self: Writer, span: int) -> None:
        nonlocal steps
        steps += 1
        if steps == 100:  # in the middle of the second round
            raise KeyboardInterrupt
        step(self, span)

    monkeypatch.setattr(Writer, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run(model, parts, "--tokens", "1600")
    assert len(shard_paths(parts)) == 1
    (parts / "shard-0000-00001.safetensors.part").write_bytes(b"half")
    monkeypatch.setattr(Writer, "_step", step)
    run(model, parts, "--tokens", "1600")
    assert contents(parts) == contents(whole)
    run(model, parts, "--tokens", "1600")  # there is enough
    assert contents(parts) == contents(whole)
    data = Dataset.open(parts, Base.load(model))
    assert len(data) * 64 >= 1600


def test_settings_must_be_those_of_then(tmp_path: Path, model: Path) -> None:
    run(model, tmp_path, "--tokens", "500")
    for words, told in (
        (["--seed", "1"], "seed is 0, and now 1"),
        (["--greedy", "0.5"], "greedy is 0.7, and now 0.5"),
        (["--length", "96"], "length is 64, and now 96"),
    ):
        with pytest.raises(TrainError, match=told):
            run(model, tmp_path, "--tokens", "500", *words)


def test_processes_write_shards_of_their_own(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        run(model, tmp_path, "--tokens", "1k")
    one, other = shard_paths(tmp_path, 0), shard_paths(tmp_path, 1)
    assert one and other
    assert one[0].read_bytes() != other[0].read_bytes()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(TrainError, match="RANK is 'first'"):
        run(model, tmp_path, "--tokens", "1k")


def test_prompts_come_from_files_and_kinds_are_kept(tmp_path: Path, model: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    lines = [f'{{"text": "{word}", "kind": "words"}}' for word in ("one", "two", "three", "four")]
    prompts.write_text("\n".join(lines))
    out = tmp_path / "data"
    run(model, out, "--tokens", "1k", "--prompts", str(prompts), "--self-share", "0.5")
    base = Base.load(model)
    data = Dataset.open(out, base)
    assert data.meta.kinds == ("self", "words")
    batch = data.batch(list(range(len(data))))
    for tokens, own, kind in zip(*batch, strict=True):
        text = base.tokenizer.decode(tokens.tolist(), skip_special_tokens=False)
        starts = text.startswith(("one", "two", "three", "four"))
        assert starts == (data.meta.kinds[kind] == "words")
        assert len(set(own.tolist()) - {0}) == 1  # greedy or sampled, not both
    prompts.write_text("\n".join(lines[1:]))
    with pytest.raises(TrainError, match="prompts is"):
        run(model, out, "--tokens", "1k", "--prompts", str(prompts), "--self-share", "0.5")


def test_equal_questions_are_of_one_group() -> None:
    tokens = torch.tensor([[1, 2, 3, 4], [1, 2, 5, 6], [1, 3, 3, 4], [1, 2, 3, 4]])
    own = torch.tensor([[0, 0, 1, 0], [0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 1]])
    one, other_answer, other_question, longer = map(generate.group_of, tokens, own)
    assert one == other_answer
    assert len({one, other_question, longer}) == 3
    assert all(0 <= group < 1 << 63 for group in (one, other_question, longer))


def test_loops_and_texts_of_others_are_dropped() -> None:
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 50000, (4, 100), generator=random, dtype=torch.int32)
    tokens[1] = 7
    tokens[2, 40:] = torch.arange(60) % 3
    own = torch.ones(4, 100, dtype=torch.uint8)
    own[3, 5:] = 0
    assert generate.distinct_share(tokens).tolist() == pytest.approx(
        [1, 1 / 95, 43 / 95, 1], abs=0.02
    )
    assert generate.Kept(0.55, 0.1).rows(Written(tokens, own)).tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_a_base_that_only_loops_is_told(tmp_path: Path, model: Path) -> None:
    with pytest.raises(TrainError, match="nothing of 36 sequences was worth keeping"):
        run(model, tmp_path, "--tokens", "1k", "--min-own", "1.0")


@pytest.mark.parametrize(
    "words,told",
    [
        (["--length", "60"], "--length is 60; it must be a multiple of 16"),
        (["--length", "4096"], "--length is 4096; .* 2048 positions"),
        (["--prompts", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--device", "cuda"], "PyTorch finds no GPU"),
    ],
)
def test_what_cannot_be_done(
    tmp_path: Path, model: Path, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainError, match=told):
        run(model, tmp_path, "--tokens", "1k", *words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--tokens", "0"],
        ["--tokens", "-5"],
        ["--tokens", "1.5M"],
        ["--minutes", "0"],
        ["--minutes", "nan"],
        ["--tokens", "5", "--minutes", "5"],
        ["--tokens", "5", "--greedy", "2"],
    ],
)
def test_words_that_are_no_usage(tmp_path: Path, model: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(model, tmp_path, *words)
    assert exit_.value.code == 2
