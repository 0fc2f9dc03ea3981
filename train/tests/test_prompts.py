"""Prompts: chats as templates render them, files with mistakes, questions of the base."""

import argparse
import json
from pathlib import Path

import pytest

from orthrus_train import chat, prompts
from orthrus_train.base import Base
from orthrus_train.errors import TrainError
from orthrus_train.prompt_file import Entry, read_prompts, write_prompts
from orthrus_train.prompt_source import ANSWERING, ASKING, SELF, WRITING, PromptSource
from orthrus_train.python_sources import python_prompts

from .tiny_bases import (
    REPOSITORY,
    random_tensors,
    talker,
    tensors_of,
    tiny_config,
    write_huggingface,
)

CHATS = REPOSITORY / "tests" / "data" / "chat"  # as the templates render them in transformers


def test_chats_are_rendered_as_the_templates_do() -> None:
    expected = json.loads((CHATS / "expected.json").read_text())
    formats = {p.stem: chat.format_of(p.read_text()) for p in CHATS.glob("*.jinja")}
    compared = set()
    for case in expected["rendered"]:
        values = expected["chats"][case["chat"]]
        messages = values["messages"]
        is_plain = all(set(m) == {"role", "content"} and m["role"] in chat.ROLES for m in messages)
        if not is_plain or values.get("tools") or messages[-1]["role"] != "user":
            continue
        if case.get("add_generation_prompt"):
            thinking = case.get("enable_thinking", True)
            got = chat.render(messages, formats[case["template"]], thinking)
            assert got == case["text"], (case["template"], case["chat"])
            compared.add(case["template"])
    assert compared == set(formats)
    assert chat.format_of("{{ bos_token }}{% for m in messages %}[INST]") == "none"


def test_lines_with_mistakes_are_told_by_number(tmp_path: Path) -> None:
    lines = [
        '{"messages": [{"role": "user", "content": "a"}], "source": "ours"}',
        '{"text": "b", "kind": "prose"}',
        "",
        "{",
        "[1]",
        '{"prompt": "c"}',
        '{"text": ""}',
        '{"messages": []}',
        '{"messages": [{"role": "human", "content": "d"}]}',
        '{"messages": [{"role": "user", "content": null}]}',
        '{"messages": [{"role": "assistant", "content": "e"}]}',
        '{"text": "f", "kind": 1}',
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_bytes("\n".join(lines).encode() + b'\n{"text": "\xff"}\n' + b"[" * 100_000 + b"\n")
    with pytest.raises(TrainError) as error:
        read_prompts(path)
    told = str(error.value)
    assert "prompts.jsonl: 11 of its lines cannot be used" in told
    for number, what in (
        (5, "it is list"),
        (6, "either"),
        (9, "'human'"),
        (10, "content"),
        (11, "to answer"),
    ):
        assert f"line {number}: " in told and what in told
    assert "and 1 more" in told and "line 1:" not in told and "line 2:" not in told
    path.write_text("\n".join(lines[:3]))
    entries = read_prompts(path)
    assert entries == [
        Entry("chat", messages=({"role": "user", "content": "a"},)),
        Entry("prose", text="b"),
    ]
    write_prompts(tmp_path / "again.jsonl", entries)
    assert read_prompts(tmp_path / "again.jsonl") == entries
    path.write_text("\n\n")
    with pytest.raises(TrainError, match="has no prompts"):
        read_prompts(path)
    with pytest.raises(TrainError, match="missing.jsonl: cannot be read"):
        read_prompts(tmp_path / "missing.jsonl")


def test_an_answer_at_the_end_is_left_to_the_base(tmp_path: Path) -> None:
    turns = [("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "b")]
    messages = [{"role": role, "content": content} for role, content in turns]
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": messages}))
    (entry,) = read_prompts(path)
    assert [m["content"] for m in entry.messages] == ["s", "q", "a", "r"]


def test_prompts_are_drawn_by_their_seed() -> None:
    base = talker()
    entries = [Entry("text", text=f"text {i}") for i in range(50)]
    entries += [Entry("chat", messages=({"role": "user", "content": f"{i}"},)) for i in range(50)]
    entries.append(Entry("chat", messages=({"role": "user", "content": "long" * 40},)))
    source = PromptSource(base, entries, 0.3, 0.0, 64)
    assert source.kinds == ("chat", SELF, "text")
    assert source.left_out == 1
    drawn = source.draw(500, "1")
    assert drawn == source.draw(500, "1") != source.draw(500, "2")
    by_kind = {name: [p for p in drawn if p.kind == i] for i, name in enumerate(source.kinds)}
    assert {p.role for p in by_kind["chat"]} == {ANSWERING}
    assert {p.role for p in by_kind[SELF]} == {ASKING}
    assert {p.role for p in by_kind["text"]} == {WRITING}
    assert 100 < len(by_kind[SELF]) < 200
    begun = [base.tokenizer.decode(p.ids) for p in by_kind[SELF]]
    bare = [text for text in begun if text.endswith("user\n")]
    assert 0.1 < len(bare) / len(begun) < 0.4
    assert any(text.endswith("user\nHow do I") for text in begun)
    long = PromptSource(base, [Entry("text", text="x" * 200)], 0.0, 0.0, 64).draw(1, "0")
    assert len(long[0].ids) == 64


def test_prompts_that_a_base_cannot_take() -> None:
    chat_entry = Entry("chat", messages=({"role": "user", "content": "q" * 100},))
    with pytest.raises(TrainError, match=r"all prompts \(1\) are longer than 64 tokens"):
        PromptSource(talker(), [chat_entry], 0.0, 0.0, 64)
    with pytest.raises(TrainError, match="has no chat template"):
        PromptSource(talker(chat="none"), [chat_entry], 0.0, 0.0, 64)
    kinds = [Entry(str(i), text="x") for i in range(300)]
    with pytest.raises(TrainError, match="have 301 kinds"):
        PromptSource(talker(), kinds, 0.0, 0.0, 64)


def test_python_sources_give_prompts_of_all_kinds() -> None:
    drawn = python_prompts(100, True, 0)
    assert len(drawn) == 100
    assert {e.kind for e in drawn} == {"code", "about code", "task"}
    assert {e.kind for e in python_prompts(10, False, 0)} == {"code"}


def run_prompts(*words: str) -> None:
    parser = argparse.ArgumentParser()
    prompts.add_arguments(parser)
    prompts.run(parser.parse_args([*words, "--device", "cpu"]))


def saved(base: Base, directory: Path) -> str:
    return str(write_huggingface(directory, base.config, tensors_of(base)))


def test_the_base_asks_itself(tmp_path: Path) -> None:
    base = talker()
    model = saved(base, tmp_path / "base")
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file in files:
        run_prompts("--model", model, "--out", str(file), "--ask", "12", "--batch", "32")
    entries = read_prompts(files[0])
    assert len(entries) == 12
    assert all(e.kind == SELF and e.messages[-1]["role"] == "user" for e in entries)
    assert len({e.messages[-1]["content"] for e in entries}) == 12
    assert files[0].read_bytes() == files[1].read_bytes()


def test_files_and_python_are_put_together(tmp_path: Path) -> None:
    config = tiny_config()
    model = write_huggingface(tmp_path / "base", config, random_tensors(config))
    source, out = tmp_path / "mine.jsonl", tmp_path / "out" / "all.jsonl"
    write_prompts(source, [Entry("prose", text="Once")])
    run_prompts("--model", str(model), "--out", str(out), "--from", str(source), "--python", "20")
    entries = read_prompts(out)
    assert len(entries) == 21 and entries[0] == Entry("prose", text="Once")
