"""What is wrong is told by the right exception, which names it."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import orthrus
import pytest
from conftest import PROMPT, TINY

P = orthrus.SamplingParams


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 101}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"stop": ""}, "stop"),
        ({"stop": ["ok", "\ud800"]}, r"stop\[1\]"),
        ({"stop_token_ids": [8192]}, "stop token id"),
        ({"stop_token_ids": [-1]}, r"stop_token_ids\[0\]"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt_logprobs": -1}, "prompt_logprobs"),
        ({"logit_bias": {9999: 1}}, "logit_bias"),
        ({"logit_bias": {1: 101}}, "logit_bias"),
        ({"mode": "fast"}, "mode"),
        ({"accept": "all"}, "accept"),
        ({"block_size": 1}, "block_size"),
        ({"block_size": 17}, "block_size"),
        ({"block_size": 4, "mode": "ar"}, "block_size"),
        ({"tree_nodes": 1}, "tree_nodes"),
        ({"tree_nodes": 129}, "tree_nodes"),
        ({"tree_nodes": 8, "mode": "ar"}, "tree_nodes"),
        ({"prefill_chunk": 0}, "prefill_chunk"),
        ({"n": 0}, "n is 0"),
        ({"n": 129}, "n is 129"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_ranges(engine, fields, named):
    with pytest.raises(orthrus.UsageError, match=named) as caught:
        engine.generate(PROMPT, P(**fields))
    assert isinstance(caught.value, (orthrus.Error, ValueError))


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "0"}, "temperature"),
        ({"temperature": False}, "temperature"),
        ({"top_k": "all"}, "top_k"),
        ({"stop": 3}, "stop"),
        ({"stop": [b"x"]}, r"stop\[0\]"),
        ({"stop_token_ids": 3}, "stop_token_ids"),
        ({"stop_token_ids": ["a"]}, r"stop_token_ids\[0\]"),
        ({"logprobs": "5"}, "logprobs"),
        ({"logit_bias": [(1, 2)]}, "logit_bias"),
        ({"logit_bias": {"a": 2}}, "logit_bias"),
        ({"logit_bias": {1: "b"}}, "logit_bias of token 1"),
        ({"ignore_eos": 1}, "ignore_eos"),
        ({"mode": None}, "mode"),
        ({"lookup": "off"}, "lookup"),
        ({"seed": 1.0}, "seed"),
        ({"n": "2"}, "n is"),
    ],
)
def test_types(engine, fields, named):
    with pytest.raises(TypeError, match=named):
        engine.generate(PROMPT, P(**fields))


@pytest.mark.parametrize(
    "prompt, error, named",
    [
        ("", ValueError, "empty"),
        (np.array([], np.int32), ValueError, "empty"),
        ("\udcff", ValueError, "surrogate"),
        ([1, -1], ValueError, r"prompt\[1\]"),
        ([1, 2**40], ValueError, r"prompt\[1\]"),
        (np.array([1, 2**40]), ValueError, "id outside"),
        ([1, 8192], ValueError, "8191"),
        ([1] * 2048, ValueError, "2048"),
        ([1, "a"], TypeError, r"prompt\[1\]"),
        ([1, 2.0], TypeError, r"prompt\[1\]"),
        ([1, None], TypeError, r"prompt\[1\]"),
        (np.zeros((2, 2), np.int32), TypeError, r"shape \(2, 2\)"),
        (np.zeros(3), TypeError, "float64"),
        (b"text", TypeError, "bytes|b'text'"),
        (None, TypeError, "None"),
        (7, TypeError, "7"),
        ({"a": 1}, TypeError, "a"),
        ([None], TypeError, r"prompts\[0\]"),
        ([[1], {}], TypeError, r"prompts\[1\]"),
    ],
)
def test_prompts(engine, prompt, error, named):
    with pytest.raises(error, match=named):
        engine.generate(prompt, P(max_tokens=2))


def test_params(engine):
    with pytest.raises(TypeError, match="params"):
        engine.generate(PROMPT, {"temperature": 0})
    with pytest.raises(TypeError, match="params"):
        engine.generate([PROMPT], [None])
    with pytest.raises(orthrus.UsageError, match="2 SamplingParams for 1"):
        engine.generate([PROMPT], [P(), P()])
    with pytest.raises(orthrus.UsageError, match="a stream has one"):
        engine.stream(PROMPT, P(n=2))
    with pytest.raises(orthrus.UsageError, match="priority"):
        engine.generate(PROMPT, priority=2**31)
    with pytest.raises(TypeError, match="cache_salt"):
        engine.generate(PROMPT, cache_salt=b"x")
    with pytest.raises(orthrus.UsageError, match="at least 2"):
        engine.score([1])
    with pytest.raises(orthrus.UsageError, match="first"):
        engine.score([1, 2, 3], first=3)
    with pytest.raises(TypeError):
        P(temprature=1)
    with pytest.raises(RuntimeError):
        engine.astream(PROMPT)  # outside of a loop


@pytest.mark.parametrize(
    "options, error, named",
    [
        ({"device": "tpu"}, ValueError, "device"),
        ({"device": "cuda:-1"}, ValueError, "device"),
        ({"device": 0}, TypeError, "device"),
        ({"weights": "q4_k"}, ValueError, "weights.*f32, f16, bf16, q8_0 or native"),
        ({"kv_cache": "f16"}, ValueError, "kv_cache.*f32 or bf16"),
        ({"threads": -1}, ValueError, "threads"),
        ({"threads": 2000}, ValueError, "threads"),
        ({"cache_memory": -1}, ValueError, "cache_memory"),
        ({"cache_memory": 10}, orthrus.Error, "cache"),
        ({"max_batch": "8"}, TypeError, "max_batch"),
        ({"chat_format": "llama"}, ValueError, "chat_format.*qwen3"),
        ({"heads": "/nowhere/heads.gguf"}, ValueError, "heads"),
        ({"on_load": 3}, TypeError, "callable"),
    ],
)
def test_engine_options(options, error, named):
    with pytest.raises(error, match=named):
        orthrus.Engine(TINY, **options)


def test_the_case_of_words_does_not_matter():
    options = {"weights": "Q8_0", "draft_weights": "BF16", "kv_cache": "BF16", "device": "CPU"}
    with orthrus.Engine(TINY, chat_format="QWEN2.5", **options) as engine:
        assert engine.config.weight_types == ("q8_0",)
        assert engine.config.draft_weight_types == ("bf16",)
        assert engine.config.kv_cache == "bf16" and engine.config.device == "cpu"
        assert engine.config.chat_format == "qwen2.5"
        assert engine.generate(PROMPT, P(max_tokens=2, mode="Dual", accept="MATCH")).text
    assert orthrus.Tokenizer(TINY, chat_format="Qwen3").chat_format == "qwen3"


def test_devices():
    assert orthrus.cuda_devices() >= 0
    orthrus.Engine(TINY, device="auto").close()


def test_files(tmp_path):
    for missing in (tmp_path / "none", tmp_path / "none.gguf"):
        with pytest.raises(orthrus.ModelNotFoundError, match="none"):
            orthrus.Engine(missing)
    for no_name in ("", "\0", "\udcff"):
        with pytest.raises(orthrus.UsageError, match="model"):
            orthrus.Engine(no_name)
    with pytest.raises(FileNotFoundError):
        orthrus.Tokenizer(tmp_path / "none")
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"GGUF" + bytes(range(256)) * 8)
    with pytest.raises(orthrus.Error, match="garbage"):
        orthrus.Engine(garbage)
    directory = tmp_path / "model"
    shutil.copytree(TINY, directory)
    config = directory / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 384', '"hidden_size": "many"'))
    with pytest.raises(orthrus.FileError, match="hidden_size") as caught:
        orthrus.Engine(directory)
    assert isinstance(caught.value, OSError) and not isinstance(caught.value, FileNotFoundError)
    with pytest.raises(TypeError):
        orthrus.Engine(3)


def test_without_a_tokenizer(tmp_path):
    directory = tmp_path / "model"
    shutil.copytree(TINY, directory, ignore=shutil.ignore_patterns("tokenizer*"))
    with orthrus.Engine(directory) as engine:
        generation = engine.generate([1, 2, 3], P(max_tokens=3))
        assert len(generation.token_ids) == 3 and generation.text == ""
        for use in (
            lambda: engine.generate("text"),
            lambda: engine.tokenizer,
            lambda: engine.chat([{"role": "user", "content": "a"}]),
        ):
            with pytest.raises(orthrus.UsageError, match="tokenizer"):
                use()


def test_errors_are_pickled(engine):
    generation = engine.generate(PROMPT, P(max_tokens=2))
    for error in (orthrus.UsageError("a"), orthrus.OutOfMemoryError("b", generation)):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
    assert again.generation.text == generation.text
    assert issubclass(orthrus.OutOfMemoryError, MemoryError)
    assert issubclass(orthrus.DeviceLostError, orthrus.GenerationError)
