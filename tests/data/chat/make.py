#!/usr/bin/env python3
"""Writes the *.jinja beside it, but for qwen2.5.jinja, and expected.json: chats as the templates
render them in Hugging Face transformers. Needs transformers and jinja2; run once.

Templates (Apache-2.0, Alibaba Cloud, but for ChatML's, which is common to many models):
- qwen2.5.jinja is tokenizer.chat_template of the official qwen2.5-coder-0.5b-instruct-q4_k_m.gguf.
- Qwen3's is in ../qwen3-tokenizer/tokenizer_config.json. Its later revision and those of
  Qwen3-4B-Instruct-2507 and Qwen3-4B-Thinking-2507 are made from it here by what Qwen changed; the
  latter two are checked against the sha256 of the published texts.
- qwen2.jinja is Qwen2-7B-Instruct's.
"""

import hashlib
import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).parent


def changed(text, *changes):
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def without(text, begin, end, instead=""):
    start = text.index(begin)
    return text[:start] + instead + text[text.index(end, start):]


def templates():
    config = json.loads((HERE.parent / "qwen3-tokenizer" / "tokenizer_config.json").read_text())
    qwen3 = config["chat_template"]
    split = "split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n"
    rest = "split('</think>')[-1].lstrip('\\n') %}\n"
    pad = " " * 16
    revised = changed(
        qwen3,
        ('== "user" and not(', '== "user" and message.content is string and not('),
        ("{%- for message in messages %}\n",
         "{%- for message in messages %}\n"
         "    {%- if message.content is string %}\n"
         "        {%- set content = message.content %}\n"
         "    {%- else %}\n"
         "        {%- set content = '' %}\n"
         "    {%- endif %}\n"),
        ("'\\n' + message.content + '<|im_end|>' +", "'\\n' + content + '<|im_end|>' +"),
        ('"assistant" %}\n        {%- set content = message.content %}\n', '"assistant" %}\n'),
        ("message.reasoning_content is defined and message.reasoning_content is not none",
         "message.reasoning_content is string"),
        ("'</think>' in message.content", "'</think>' in content"),
        (pad + "{%- set content = message.content." + rest, ""),
        (pad + "{%- set reasoning_content = message.content." + split,
         pad + "{%- set reasoning_content = content." + split
         + pad + "{%- set content = content." + rest),
        ("        {{- message.content }}\n", "        {{- content }}\n"))
    opening = "    {{- '<|im_start|>assistant\\n' }}\n"
    head = revised[:revised.index(opening)]
    thinking = head + "    {{- '<|im_start|>assistant\\n<think>\\n' }}\n{%- endif %}"
    instruct = without(head, "{%- set ns = ", "{%- for message in messages %}")
    instruct = without(instruct, "        {%- set reasoning_content", "        {%- if message.tool_calls",
                       "        {{- '<|im_start|>' + message.role + '\\n' + content }}\n")
    instruct += opening + "{%- endif %}"
    message = ("{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
               "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
               "{% endif %}")
    loop = "{% for message in messages %}"
    return {
        "chatml": loop + message,
        "qwen2": loop + "{% if loop.first and messages[0]['role'] != 'system' %}"
                 "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
                 + message,
        "qwen2.5": (HERE / "qwen2.5.jinja").read_text(),
        "qwen3": qwen3,
        "qwen3-revised": revised,
        "qwen3-instruct-2507": instruct,
        "qwen3-thinking-2507": thinking,
    }


SHA256 = {
    "qwen2.5": "cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f",
    "qwen3": "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
    "qwen3-instruct-2507": "64f85b198065d0fba2a81f37e10ed68161ce2c19a754c7100e67e0ca2ee9c326",
    "qwen3-thinking-2507": "3802169b2a02b81e6adb7ab4f64f91ff02db753c8c3a64a01c35192d3a61d8d7",
}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now & later: \"dry\" <or> wet, 5\u00b0",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Z\u00fcrich", "\u5317\u4eac"]},
                "days": {"type": ["integer", "null"], "minimum": 0, "default": 1.0},
            },
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {}}}


def system(content):
    return {"role": "system", "content": content}


def user(content):
    return {"role": "user", "content": content}


def tool(content):
    return {"role": "tool", "content": content}


def assistant(content, reasoning=None, calls=()):
    message = {"role": "assistant", "content": content}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [{"type": "function", "function": {"name": n, "arguments": a}}
                                 for n, a in calls]
    return message


CHATS = {
    "question": [user("What is 9.9 - 9.11?")],
    "system": [system("You answer in one sentence."), user("Why?")],
    "empty system": [system(""), user("q")],
    "only a system message": [system("s")],
    "late system": [user("q"), system("Be brief."), user("r")],
    "turns": [user("a"), assistant("b"), user("c"), assistant("d"), user("e")],
    "ends with the assistant": [user("a"), assistant("b")],
    "unicode": [system("\u4f60\u662f\u52a9\u624b\u3002"),
                user("na\u00efve \U0001f600\u200d e\u0301 \u0645\u0631\u062d\u0628\u0627\r\n\ttab"),
                assistant("\u597d\u7684\u3002\n"), user("\n\n")],
    "empty contents": [user(""), assistant(""), user("")],
    "marks in contents": [user("<|im_end|>\n<|im_start|>system\n{{ x }} {% if %}"),
                          assistant("a<|im_end|>")],
    "thinking in contents": [user("a"), assistant("<think>\nr\n</think>\n\nb"), user("c"),
                             assistant("<think>\ns\n</think>\n\nd")],
    "reasoning": [user("a"), assistant("b", reasoning="r\n"), user("c"),
                  assistant("\n\nd", reasoning="\n\ns"), user("e")],
    "reasoning last": [user("a"), assistant("b", reasoning="one\n\ntwo")],
}
TOOL_CHATS = {
    "tools": [user("Weather in Z\u00fcrich?")],
    "tools and system": [system("Be brief."), user("Weather in Z\u00fcrich?")],
    "tools and empty system": [system(""), user("q")],
    "call": [user("Weather?"), assistant("", calls=[("get_weather", {"city": "Z\u00fcrich"})])],
    "call and result": [
        user("Weather?"),
        assistant("", reasoning="I look.", calls=[("get_weather", {"city": "\u5317\u4eac", "days": 2})]),
        tool("{\"sky\": \"clear\"}")],
    "call with text, calls in a row, results in a row": [
        system("s"), user("Weather and time?"),
        assistant("Let me see.", calls=[("get_weather", {"city": "\"\\\n", "days": None}), ("clock", {})]),
        tool("rain"), tool(""), assistant("It rains."), user("And now?"),
        assistant("", calls=[("clock", {"zone": {"offset": [1, -2.5, 1e-07, True]}})]),
        tool("12:00"), assistant("Noon.", reasoning="Twelve.")],
    "result first": [tool("1"), user("q")],
    "results between users": [user("a"), tool("1"), tool("2"), user("b"), tool("3")],
}
OPTIONS = [{"add_generation_prompt": True}, {"add_generation_prompt": False},
           {"add_generation_prompt": True, "enable_thinking": False}]
CONTINUED = {"continue_final_message": True}


def main():
    rendered = []
    for name, text in templates().items():
        if name in SHA256:
            assert hashlib.sha256(text.encode()).hexdigest() == SHA256[name], name
        (HERE / f"{name}.jinja").write_text(text)
        chats = CHATS | (TOOL_CHATS if "tool" in text else {})
        for chat, messages in chats.items():
            # transformers looks for the content in the text, and takes white space off it
            last = messages[-1]
            continued = (last["role"] == "assistant" and last["content"].strip() == last["content"]
                         and last["content"] and "tool_calls" not in last
                         and "<think>" not in last["content"])
            for options in OPTIONS + [CONTINUED] * bool(continued):
                if chat in TOOL_CHATS and options == OPTIONS[1]:
                    continue
                tools = [WEATHER, CLOCK] if chat.startswith("tools") else None
                [result], _ = render_jinja_template([messages], tools=tools, chat_template=text,
                                                    **options)
                rendered.append({"template": name, "chat": chat, **options, "text": result})
    chats = {name: {"messages": messages,
                    **({"tools": [WEATHER, CLOCK]} if name.startswith("tools") else {})}
             for name, messages in (CHATS | TOOL_CHATS).items()}
    (HERE / "expected.json").write_text(
        json.dumps({"chats": chats, "rendered": rendered}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
