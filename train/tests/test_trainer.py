import collections
import dataclasses
import json

import pytest
import torch

from orthrus_train import checkpoint, log
from orthrus_train.diffusion import Passes
from orthrus_train.errors import TrainError
from orthrus_train.loss import Loss
from orthrus_train.machine import place_of
from orthrus_train.trainer import Trainer, TrainOptions
from orthrus_train.workers import Workers

from .conftest import MASK

OPTIONS = TrainOptions(
    steps=6,
    minutes=None,
    batch=2,
    rows=64,
    block_size=8,
    mask_token_id=MASK,
    learning_rate=3e-3,
    warmup=2,
    log_every=2,
    evaluations=1,
    evaluated=3,
)


def train(base, data, directory, **changes) -> Trainer:
    trainer = Trainer(
        base, data, directory, Workers(place_of("cpu")), dataclasses.replace(OPTIONS, **changes)
    )
    trainer.run()
    return trainer


def frozen(base) -> list[torch.Tensor]:
    return [base.embed, base.head, base.norm, *(t for layer in base.layers for t in layer.values())]


@pytest.mark.parametrize("rank", [0, 32])
def test_all_is_compiled_once(qwen3, texts, tmp_path, monkeypatch, rank):
    """All layers are one graph, of looks at held-out texts, too: each takes a GPU ten seconds."""
    compiled = collections.Counter()
    compile_function = torch.compile

    def counting(function, **options):
        def backend(graph, inputs):
            compiled[function.__name__] += 1
            return graph

        return compile_function(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", counting)
    torch.compiler.reset()
    options = dataclasses.replace(OPTIONS, evaluations=2, pair_rank=rank)
    trainer = Trainer(qwen3, texts(qwen3), tmp_path, Workers(place_of("cpu")), options)
    trainer.passes = trainer.measure.passes = Passes(qwen3, MASK, compiled=True)
    trainer.loss = Loss(options.block_size, compiled=True)
    trainer.run()
    assert set(compiled) >= {"ar_layer", "diffusion_layer", "student_rows"}
    assert set(compiled.values()) == {1}


@pytest.mark.parametrize("base", ["qwen2", "qwen3"])
def test_only_the_heads_learn(base, texts, tmp_path, request):
    base = request.getfixturevalue(base)
    before = [tensor.clone() for tensor in frozen(base)]
    trainer = train(base, texts(base), tmp_path / "out")
    for tensor, old in zip(frozen(base), before, strict=True):
        assert not tensor.requires_grad and tensor.grad is None
        assert torch.equal(tensor, old)
    for layer, mine in zip(base.layers, trainer.heads.layers, strict=True):
        for part, value in mine.items():
            assert not torch.equal(value, layer[part]), part


def test_resumed_is_as_if_it_had_not_stopped(qwen3, texts, tmp_path):
    data = texts(qwen3)
    whole = train(qwen3, data, tmp_path / "whole", checkpoint_minutes=0)

    class Stop(Exception):
        pass

    stopped = Trainer(
        qwen3,
        data,
        tmp_path / "parts",
        Workers(place_of("cpu")),
        dataclasses.replace(OPTIONS, checkpoint_minutes=0),
    )
    step = stopped.step

    def stop_at_five(fraction):
        if stopped.reached.step == 5:
            raise Stop
        return step(fraction)

    stopped.step = stop_at_five
    with pytest.raises(Stop):
        stopped.run()
    resumed = train(qwen3, data, tmp_path / "parts", resume=True)
    assert torch.equal(resumed.heads.values, whole.heads.values)
    figures = [
        [(r["step"], r["loss"]) for r in log.read(tmp_path / d) if "loss" in r]
        for d in ("whole", "parts")
    ]
    assert figures[0] == figures[1] and len(figures[0]) == 3


def test_sequences_at_a_time_do_not_matter(qwen3, texts, tmp_path):
    data = texts(qwen3)
    both = train(qwen3, data, tmp_path / "a", steps=2)
    single = Trainer(
        qwen3, data, tmp_path / "b", Workers(place_of("cpu")), dataclasses.replace(OPTIONS, steps=2)
    )
    single.at_a_time = 1
    single.run()
    torch.testing.assert_close(single.heads.values, both.heads.values, rtol=1e-3, atol=1e-4)


def test_a_gradient_that_is_not_finite_ends_training_and_spoils_nothing(qwen3, texts, tmp_path):
    trainer = Trainer(
        qwen3,
        texts(qwen3),
        tmp_path,
        Workers(place_of("cpu")),
        dataclasses.replace(OPTIONS, checkpoint_minutes=0, log_every=1),
    )
    loss = trainer.loss

    def broken(*inputs):
        gradient, figures = loss(*inputs)
        return gradient * (float("nan") if trainer.reached.step == 3 else 1), figures

    trainer.loss = broken
    with pytest.raises(TrainError, match="step 3: the gradient is not finite.*--resume"):
        trainer.run()
    assert trainer.heads.values.isfinite().all()
    assert checkpoint.read(tmp_path / checkpoint.NAME)["reached"]["step"] == 3


def test_what_cannot_be_resumed_is_told(qwen3, texts, tmp_path):
    data = texts(qwen3)
    with pytest.raises(TrainError, match="nothing to resume"):
        train(qwen3, data, tmp_path, resume=True)
    train(qwen3, data, tmp_path, steps=1)
    with pytest.raises(TrainError, match="--resume goes on"):
        train(qwen3, data, tmp_path)
    with pytest.raises(TrainError, match="made with batch 2"):
        train(qwen3, data, tmp_path, resume=True, batch=4)
    (tmp_path / checkpoint.NAME).write_bytes(b"nothing")
    with pytest.raises(TrainError, match="cannot|not a checkpoint"):
        train(qwen3, data, tmp_path, resume=True)
    for other in ([1, 2], {"identity": {}}, {"values": 3}):
        torch.save(other, tmp_path / checkpoint.NAME)
        with pytest.raises(TrainError, match="not the checkpoint of a training"):
            train(qwen3, data, tmp_path, resume=True)


def test_a_log_that_was_cut_short_is_gone_on_with(qwen3, texts, tmp_path):
    data = texts(qwen3)
    train(qwen3, data, tmp_path, steps=2)
    with open(tmp_path / log.NAME, "a") as file:
        file.write('{"step": 2, "lo')
    train(qwen3, data, tmp_path, steps=4, resume=True)
    assert [r["step"] for r in log.read(tmp_path) if "loss" in r] == [2, 4]


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(rows=200), "--rows is 200"),
        (dict(rows=4), "--rows is 4"),
        (dict(block_size=40), "--block-size is 40"),
        (dict(minutes=1.0), "one of --steps and --minutes"),
    ],
)
def test_options_that_cannot_be_are_told(qwen3, texts, tmp_path, changes, message):
    with pytest.raises(TrainError, match=message):
        train(qwen3, texts(qwen3), tmp_path, **changes)


def test_log_says_how_it_went(qwen3, texts, tmp_path, capsys):
    train(qwen3, texts(qwen3), tmp_path, profile=True)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[0]["settings"]["steps"] == 6
    steps = [r for r in records if "loss" in r]
    assert [r["step"] for r in steps] == [2, 4, 6]
    assert all(len(r["by_position"]) == 8 and r["rows_per_second"] > 0 for r in steps)
    assert {"teacher", "loss", "optimizer"} < set(steps[0]["seconds_of_parts"])
    kinds = {(f["temperature"], f["kind"]) for f in records[-1]["held_out"]}
    assert (0.0, "all") in kinds and (1.0, "all") in kinds
    assert "left" in capsys.readouterr().out


def test_the_first_step_is_not_clocked_and_no_step_is_evaluated_twice(qwen3, texts, tmp_path):
    train(qwen3, texts(qwen3), tmp_path, steps=3, log_every=1, evaluations=3)
    records = log.read(tmp_path)
    assert ["rows_per_second" in r for r in records if "loss" in r] == [False, True, True]
    assert [r["step"] for r in records if "held_out" in r] == [2, 3]
