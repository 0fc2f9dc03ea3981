"""Chats, sessions and tokenizers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import orthrus
import pytest
from conftest import PROMPT, ROOT, TINY
from orthrus import chat

SHORT = orthrus.SamplingParams(max_tokens=24)
ASKED = [{"role": "user", "content": "Write a loop."}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


def test_the_prompt_is_the_templates(engine):
    text = engine.tokenizer.apply_chat_template(ASKED, tokenize=False)
    assert text.endswith("<|im_start|>user\nWrite a loop.<|im_end|>\n<|im_start|>assistant\n")
    ids = engine.tokenizer.apply_chat_template(ASKED)
    assert ids.tolist() == engine.tokenizer.encode(text).tolist()
    answer = engine.chat(ASKED, SHORT)
    assert answer.prompt_ids.tolist() == ids.tolist()
    assert answer.text == engine.generate(text, SHORT).text
    assert answer.message == {"role": "assistant", "content": answer.text}


def test_streamed_and_awaited(engine):
    expected = engine.chat(ASKED, SHORT)
    stream = engine.chat(ASKED, SHORT, stream=True)
    assert "".join(step.text for step in stream) == expected.text
    assert stream.generation.message == expected.message

    async def main():
        astream = engine.achat(ASKED, SHORT, stream=True)
        text = "".join([step.text async for step in astream])
        return text, (await engine.achat(ASKED, SHORT)).message

    assert asyncio.run(main()) == (expected.text, expected.message)


def test_goes_on_with_the_last_message(engine):
    begun = [*ASKED, {"role": "assistant", "content": "for i in"}]
    answer = engine.chat(begun, SHORT, continue_final_message=True)
    text = engine.tokenizer.decode(answer.prompt_ids)
    assert text.endswith("<|im_start|>assistant\nfor i in")


def test_sessions_remember(engine):
    session = engine.session(system="Be brief.", params=SHORT)
    first = session.chat("Write a loop.")
    assert [m["role"] for m in session.messages] == ["system", "user", "assistant"]
    stream = session.stream("Another one.")
    list(stream)
    assert [m["role"] for m in session.messages][3:] == ["user", "assistant"]
    assert session.messages[2] == first.message
    assert session.messages[4] == stream.generation.message
    again = engine.chat(session.messages[:4], SHORT)
    assert again.message == stream.generation.message
    with pytest.raises(orthrus.UsageError):
        session.chat("more", orthrus.SamplingParams(temperature=-1))
    assert len(session.messages) == 5  # what was refused is not remembered


def test_sessions_answer_one_by_one(engine):
    session = engine.session(params=SHORT)
    stream = session.stream("Write a loop.")
    next(stream)
    with pytest.raises(orthrus.UsageError, match="has not ended"):
        session.chat("Another one.")
    stream.close()
    assert session.chat("Another one.").message == session.messages[3]
    session.stream("A third one.")  # is forgotten
    assert len(session.messages) == 4
    session.chat({"role": "user", "content": "A fourth one."})
    assert [m["content"] for m in session.messages[::2]][2:] == ["A fourth one."]
    with pytest.raises(TypeError, match="message is 3"):
        session.chat(3)


def test_sessions_find_what_was_said_in_the_cache(engine):
    session = engine.session(params=orthrus.SamplingParams(max_tokens=4))
    session.chat("Once " * 100)
    assert session.chat("And then?").stats.cached_tokens > 64


def test_calls_of_tools_are_taken_apart():
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    prompt = "<|im_start|>user\nHow is it?<|im_end|>\n<|im_start|>assistant\n"
    message = chat.read_answer(
        "qwen3", prompt, f"<think>\nHm.\n</think>\n\n{call}", ["get_weather"]
    )
    assert message["reasoning_content"] == "Hm." and message["content"] == ""
    (made,) = message["tool_calls"]
    assert made["type"] == "function" and made["function"]["name"] == "get_weather"
    assert json.loads(made["function"]["arguments"]) == {"city": "Paris"}


def test_tools_are_shown_and_calls_go_back(engine):
    messages = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [
            {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Rom"}}}]},
        {"role": "tool", "content": [{"type": "text", "text": "warm"}]},
    ]  # fmt: skip
    text = engine.tokenizer.apply_chat_template(messages, tools=[WEATHER], tokenize=False)
    for part in ("get_weather", '"city": "Rom"', "<tool_response>\nwarm"):
        assert part in text
    assert engine.chat(messages, SHORT, tools=[WEATHER]).message["role"] == "assistant"


@pytest.mark.parametrize(
    "messages, tools, error, named",
    [
        ([], None, ValueError, "message"),
        ("Hello", None, TypeError, "messages"),
        ({"role": "user"}, None, TypeError, "messages"),
        (["Hello"], None, TypeError, r"messages\[0\]"),
        ([{"content": "a"}], None, TypeError, "role"),
        ([{"role": "robot", "content": "a"}], None, ValueError, "robot"),
        ([{"role": "user", "content": 3}], None, TypeError, "content"),
        ([{"role": "user", "content": "\ud800"}], None, ValueError, "content"),
        ([{"role": "user", "content": [{"type": "image"}]}], None, ValueError, "image"),
        ([{"role": "assistant", "tool_calls": [{}]}], None, TypeError, r"tool_calls\[0\]"),
        (ASKED, [{"type": "function"}], TypeError, r"tools\[0\].function"),
        (ASKED, [{"function": {"name": "a", "x": {1, 2}}}], ValueError, r"tools\[0\]"),
        (ASKED, ["f"], TypeError, r"tools\[0\]"),
    ],
)
def test_bad_chats(engine, messages, tools, error, named):
    with pytest.raises(error, match=named):
        engine.chat(messages, SHORT, tools=tools)


def test_a_model_without_a_chat_format():
    with orthrus.Engine(TINY) as engine:
        assert engine.config.chat_format == "none"
        with pytest.raises(orthrus.UsageError):
            engine.chat(ASKED)


def test_tokenizer():
    tokenizer = orthrus.Tokenizer(TINY)
    ids = tokenizer.encode(PROMPT)
    assert ids.dtype == np.int32 and tokenizer.decode(ids) == PROMPT
    assert tokenizer.decode(ids.tolist()) == tokenizer.decode(ids.astype(np.int64)) == PROMPT
    assert len(tokenizer) == tokenizer.vocab_size >= 8000
    assert tokenizer.special_tokens
    for name, token in tokenizer.special_tokens.items():
        assert tokenizer.token_to_id(name) == token and tokenizer.is_special(token)
        assert tokenizer.id_to_bytes(token) == name.encode()
        assert tokenizer.decode([token], skip_special_tokens=True) == ""
    assert tokenizer.token_to_id("def") == tokenizer.encode("def")[0]
    assert tokenizer.token_to_id("not one token, surely") is None
    assert tokenizer.id_to_bytes(10**6) == b"" and tokenizer.decode([10**6]) == ""
    assert tokenizer.encode("").tolist() == [] and tokenizer.decode([]) == ""
    with pytest.raises(TypeError):
        tokenizer.encode(b"bytes")
    with pytest.raises(orthrus.UsageError):
        tokenizer.decode([-1])


def test_templates_known_by_their_text(tmp_path):
    for file in (ROOT / "tests/data/chat").glob("qwen3.jinja"):
        model = tmp_path / file.stem
        model.mkdir()
        for part in TINY.iterdir():
            (model / part.name).symlink_to(part)
        (model / "chat_template.jinja").write_bytes(Path(file).read_bytes())
        assert orthrus.Tokenizer(model).chat_format == "qwen3"
