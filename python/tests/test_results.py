"""What comes back: kinds, shapes, and whose memory it is."""

from __future__ import annotations

import copy
import json
import math
import pickle
import shutil

import numpy as np
import orthrus
import pytest
from conftest import DEVICE, PROMPT, TINY

SHORT = orthrus.SamplingParams(max_tokens=12)


def test_one_gives_one_and_a_list_a_list(engine):
    ids = engine.tokenizer.encode(PROMPT)
    for one in (PROMPT, ids, ids.tolist(), tuple(ids.tolist()), ids.astype(np.uint16)):
        assert isinstance(engine.generate(one, SHORT), orthrus.Generation)
    for many in ([PROMPT], [ids], [ids.tolist()], (PROMPT, ids.tolist()), [PROMPT, ids]):
        generations = engine.generate(many, SHORT)
        assert isinstance(generations, list) and len(generations) == len(many)
        assert len({g.text for g in generations}) == 1
    assert engine.generate([], SHORT) == []


def test_params_for_each(engine):
    lengths = [3, 9]
    generations = engine.generate(
        [PROMPT, PROMPT], [orthrus.SamplingParams(max_tokens=n) for n in lengths]
    )
    assert [len(g.token_ids) for g in generations] == lengths
    assert [g.finish_reason for g in generations] == ["length", "length"]


def test_arrays_are_views(engine):
    generation = engine.generate(PROMPT, SHORT)
    ids = generation.token_ids
    assert ids.dtype == np.int32 and ids.shape == (12,)
    assert not ids.flags.owndata and not ids.flags.writeable
    kept = ids.tolist()
    del generation
    engine.generate([PROMPT] * 4, SHORT)  # whose memory could take its place
    assert ids.tolist() == kept


def test_logprobs(engine):
    asked = orthrus.SamplingParams(max_tokens=12, logprobs=3, prompt_logprobs=0)
    in_modes = [
        engine.generate(PROMPT, orthrus.SamplingParams(**{**vars(asked), "mode": mode}))
        for mode in ("ar", "dual")
    ]
    for generation in in_modes:
        own, prompt = generation.logprobs, generation.prompt_logprobs
        assert own.chosen.shape == (12,) and own.chosen.dtype == np.float32
        assert own.top.shape == own.top_ids.shape == (12, 3) and own.top_ids.dtype == np.int32
        assert (own.top_ids[:, 0] == generation.token_ids).all()  # it is greedy
        assert (own.top[:, 0] == own.chosen).all() and (np.diff(own.top) <= 0).all()
        assert prompt.chosen.shape == (len(generation.prompt_ids) - 1,)
        assert prompt.top.shape == (len(generation.prompt_ids) - 1, 0)
    assert (in_modes[0].logprobs.top == in_modes[1].logprobs.top).all()
    without = engine.generate(PROMPT, SHORT)
    assert without.logprobs is None and without.prompt_logprobs is None


def test_steps(engine):
    asked = orthrus.SamplingParams(max_tokens=40, mode="dual", logprobs=1)
    stream = engine.stream("import os\nimport sys\nimport", asked)
    assert stream.generation is None
    steps = list(stream)
    whole = stream.generation
    assert "".join(step.text for step in steps) == whole.text
    chosen = np.concatenate([step.logprobs.chosen for step in steps])
    assert (chosen == whole.logprobs.chosen).all()
    assert all(step.token_ids.size >= 1 and step.accepted <= step.drafted for step in steps)
    assert sum(step.accepted for step in steps) >= whole.stats.accepted > 0
    assert whole.stats.generated == 40 and whole.stats.tokens_per_second > 0
    assert list(stream) == []


def test_score(engine):
    ids = engine.tokenizer.encode("import os\nimport sys\n")
    scores = engine.score(ids)
    assert scores.shape == (len(ids) - 1,) and (scores < 0).all()
    assert (engine.score(ids, first=3) == scores[2:]).all()
    alone, other = engine.score([ids.tolist(), ids[:4]])
    assert (alone == scores).all() and (other == scores[:3]).all()
    assert engine.score([]) == []


def test_pickled(engine):
    generation = engine.generate(PROMPT, orthrus.SamplingParams(max_tokens=5, logprobs=1, n=2))
    again = pickle.loads(pickle.dumps(generation))
    assert again.token_ids.tolist() == generation.token_ids.tolist()
    assert again.stats == generation.stats and len(again.choices) == 2
    params = orthrus.SamplingParams(stop=["a"], logit_bias={3: 1.5})
    assert pickle.loads(pickle.dumps(params)) == params == copy.deepcopy(params)


def test_config_and_load(engine):
    config = engine.config
    assert config.architecture == "OrthrusLM" and config.has_diffusion_view
    assert config.weight_types == ("bf16",) and config.device in (DEVICE, DEVICE + ":0")
    assert "OrthrusLM" in repr(engine)
    before = engine.load()
    engine.generate(PROMPT + " " * 100, SHORT)
    after = engine.load()
    assert after.prefix_queries > before.prefix_queries and after.running == 0
    with pytest.raises(AttributeError):
        after.running = 3


def test_numbers_of_the_config_are_as_they_were_written(tmp_path):
    shutil.copytree(TINY, tmp_path / "model")
    suggested = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "suppress_tokens": [3]}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(suggested))
    with orthrus.Engine(tmp_path / "model") as engine:
        generation = engine.config.generation
        assert (generation.temperature, generation.top_p) == (0.7, 0.8)
        assert generation.logit_bias == {3: -math.inf}
        assert engine.config.rms_norm_eps == 1e-6


def test_the_last_token_ends_it(engine):
    first = int(engine.generate(PROMPT, SHORT).token_ids[0])
    generation = engine.generate(PROMPT, orthrus.SamplingParams(stop_token_ids=[first]))
    assert generation.token_ids.tolist() == [first] and generation.text == ""
    assert (generation.finish_reason, generation.stop_string) == ("stop", None)


def test_all_that_the_context_leaves(engine):
    prompt = [5] * (engine.config.max_position_embeddings - 20)
    generation = engine.generate(prompt, orthrus.SamplingParams(max_tokens=None, ignore_eos=True))
    assert len(generation.token_ids) == 20 and generation.finish_reason == "length"
