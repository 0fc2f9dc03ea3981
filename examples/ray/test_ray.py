"""Two replicas on one machine: python -m pytest examples/ray (with what requirements.txt names).

They are killed under way, and give what one engine alone gives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import ray
from ray import serve

import openai_forms
import orthrus

HERE = Path(__file__).resolve().parent
MODEL = str(HERE.parents[1] / "models" / "tiny-code")
URL = "http://127.0.0.1:8123/v1"
FORMAT = {"chat_format": "qwen2.5"}


@pytest.fixture(scope="module")
def engine():
    with orthrus.Engine(MODEL, threads=1, **FORMAT) as engine:
        yield engine


@pytest.fixture(scope="module")
def served():
    sys.path.insert(0, str(HERE))
    from app import app

    runtime = {"env_vars": {"PYTHONPATH": ":".join(sys.path)}}
    ray.init(num_cpus=4, include_dashboard=False, runtime_env=runtime)
    serve.start(http_options={"host": "127.0.0.1", "port": 8123})
    serve.run(app({"model": MODEL, "replicas": "2", **FORMAT}))
    yield
    serve.shutdown()
    ray.shutdown()


def replicas():
    names = [a for a in ray.util.list_named_actors(all_namespaces=True) if "#Engine#" in a["name"]]
    return [ray.get_actor(a["name"], namespace=a["namespace"]) for a in names]


def kill(count):
    for replica in replicas()[:count]:
        ray.kill(replica)


def complete(**body):
    return httpx.post(f"{URL}/completions", json=body, timeout=120)


PROMPTS = [f"def f{i}(a, b):\n    " for i in range(12)]


def expected(engine, prompt, **fields):
    return engine.generate(prompt, orthrus.SamplingParams(**fields)).text


def test_exact_across_replicas(served, engine):
    fields = {"temperature": 0.9, "seed": 5, "max_tokens": 24}
    for prompt in PROMPTS:
        answer = complete(prompt=prompt, **fields).json()
        assert answer["choices"][0]["text"] == expected(engine, prompt, **fields)
        assert answer["orthrus"]["seed"] == 5


def test_choices_and_drawn_seeds(served, engine):
    answer = complete(prompt=PROMPTS[0], temperature=1, n=3, max_tokens=12).json()
    seed = answer["orthrus"]["seed"]
    for i, choice in enumerate(answer["choices"]):
        fields = {"temperature": 1, "max_tokens": 12, "seed": seed + i}
        assert choice["text"] == expected(engine, PROMPTS[0], **fields)


def test_caches_stay_warm(served):
    """Each conversation comes back to the replica that has its beginning."""
    for topic in range(6):
        system = {"role": "system", "content": f"Topic {topic}. " + "Be brief. " * 60}
        messages = [system, {"role": "user", "content": "Hello"}]
        for turn in range(3):
            body = {"messages": messages, "max_tokens": 4, "temperature": 0}
            answer = httpx.post(f"{URL}/chat/completions", json=body, timeout=120).json()
            cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
            assert turn == 0 or cached > 128
            messages += [answer["choices"][0]["message"], {"role": "user", "content": "Go on"}]


def streamed(body, on_piece=lambda count: None):
    text, pieces = "", 0
    with httpx.stream("POST", f"{URL}/completions", json=body, timeout=120) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            assert "error" not in event, event
            text += event["choices"][0]["text"]
            pieces += 1
            on_piece(pieces)
    return text, event["choices"][0]["finish_reason"]


def test_streams_outlive_their_replicas(served, engine):
    """Both are killed, twice, and the client sees one text."""
    fields = {"temperature": 0.8, "seed": 3, "max_tokens": 1200, "ignore_eos": True}
    text, reason = streamed(
        {"prompt": PROMPTS[1], "stream": True, **fields},
        lambda pieces: kill(2) if pieces in (10, 60) else None,
    )
    assert text == expected(engine, PROMPTS[1], **fields)
    assert reason == "length"


def test_all_answers_come_while_replicas_die(served, engine):
    fields = {"temperature": 0.8, "max_tokens": 120, "ignore_eos": True}
    texts = {}

    def ask(seed):
        prompt = PROMPTS[seed % len(PROMPTS)]
        texts[seed] = complete(prompt=prompt, seed=seed, **fields).json()["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    kill(1)
    for thread in threads:
        thread.join()
    for seed in range(12):
        assert texts[seed] == expected(engine, PROMPTS[seed % len(PROMPTS)], seed=seed, **fields)


def test_a_client_that_leaves_frees_its_replica(served):
    with httpx.stream(
        "POST", f"{URL}/completions", timeout=120,
        json={"prompt": PROMPTS[2], "stream": True, "max_tokens": 2000, "ignore_eos": True},
    ) as answer:  # fmt: skip
        next(answer.iter_lines())
    # A short one is not behind it.
    assert complete(prompt=PROMPTS[2], max_tokens=2).status_code == 200


@pytest.mark.parametrize(
    "body, named",
    [
        ({}, "prompt"),
        ({"prompt": ""}, "empty"),
        ({"prompt": "a", "temperature": -1}, "temperature"),
        ({"prompt": "a", "seed": "x"}, "seed"),
        ({"prompt": "a", "n": 0}, "n is 0"),
        ({"prompt": "a", "n": 2, "stream": True}, "stream"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "a", "logit_bias": {"a": 1}}, "'a'"),
        ({"prompt": "a", "logit_bias": [1]}, "logit_bias"),
        ({"prompt": "a", "stream_options": [1]}, "stream_options"),
        ({"prompt": "a", "chat_template_kwargs": 3}, "chat_template_kwargs"),
        ({"prompt": "a", "max_tokens": 0, "stream": True}, "max_tokens"),
    ],
)
def test_refusals(served, body, named):
    answer = complete(**body)
    assert answer.status_code == 400 and named in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "field",
    [
        {"logprobs": True},
        {"echo": True},
        {"suffix": "b"},
        {"best_of": 2},
        {"tool_choice": "required"},
        {"functions": [{"name": "f"}]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_is_not_here_is_not_ignored(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        openai_forms.read({"messages": [], **field}, "chat")
    nothing = {**openai_forms.NOT_HERE, "user": "me", "logit_bias": None}
    assert len(openai_forms.read({"prompt": "a", **nothing}, "text")) == 1


@pytest.mark.parametrize("messages", [None, 3, "hello", {"role": "user"}])
def test_messages_are_a_list(messages):
    with pytest.raises(ValueError, match="messages"):
        openai_forms.read({"messages": messages}, "chat")


def batch(tmp_path, name, *options, status=0):
    out = tmp_path / name
    line = [
        sys.executable,
        str(HERE / "batch.py"),
        MODEL,
        str(tmp_path / "prompts.jsonl"),
        str(out),
    ]
    line += ["--temperature", "0.8", "--max-tokens", "24", *options]
    assert subprocess.run(line, timeout=300).returncode == status
    return out.read_bytes()


def test_a_wrong_line_of_a_batch_is_told_in_its_place(tmp_path):
    lines = [{"prompt": PROMPTS[0]}, {"prompt": ""}, {"messages": "hello"}, {"prompt": PROMPTS[1]}]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = batch(tmp_path, "answers", "--chat-format", "qwen2.5", status=1).decode()
    answers = [json.loads(line) for line in text.splitlines()]
    assert [sorted(answer)[0] for answer in answers] == [
        "finish_reason", "error", "error", "finish_reason",
    ]  # fmt: skip
    assert "empty" in answers[1]["error"] and "messages" in answers[2]["error"]


def test_batches_are_the_same_bytes(tmp_path):
    rows = [{"id": f"row {i}", "prompt": prompt} for i, prompt in enumerate(PROMPTS)]
    rows[3] = {"messages": [{"role": "user", "content": "Write a loop."}]}
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    two = batch(tmp_path, "two", "--engines", "2", "--batch", "2", "--chat-format", "qwen2.5")
    one = batch(tmp_path, "one", "--engines", "1", "--batch", "5", "--chat-format", "qwen2.5")
    assert two == one
    answers = [json.loads(line) for line in two.decode().splitlines()]
    assert [answer["id"] for answer in answers] == [
        row.get("id", i + 1) for i, row in enumerate(rows)
    ]
