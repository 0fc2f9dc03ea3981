"""Tools over OpenAI's API from end to end, with a model that knows them:

    pip install openai
    orthrus serve -m MODEL --api-key secret &
    tests/clients/tools.py --url http://127.0.0.1:8000/v1 --key secret

The model is asked, calls tools, gets their results and answers, streamed and not. Ends with an
error where what it wrote did not come out as calls; what a small model calls, and why, is its own.
"""
import argparse
import json

import openai


def tool(name, description, required, **properties):
    return {"type": "function", "function": {
        "name": name, "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required}}}


TOOLS = [
    tool("get_weather", "Current weather in a city", ["city"], city={"type": "string"},
         unit={"type": "string", "enum": ["celsius", "fahrenheit"]}),
    tool("calculator", "Evaluates an arithmetic expression", ["expression"],
         expression={"type": "string"}),
    tool("write_file", "Writes text to a file", ["path", "content"], path={"type": "string"},
         content={"type": "string"}),
    tool("make_event", "Makes an event in the calendar", ["title", "when"],
         title={"type": "string"},
         when={"type": "object", "properties": {"date": {"type": "string"},
                                                "hour": {"type": "integer"}}},
         guests={"type": "array", "items": {"type": "string"}}),
]
RESULTS = {"get_weather": "18 degrees, light rain", "calculator": "7006652", "write_file": "written",
           "make_event": "made"}
QUESTIONS = [
    ("What is the weather in Paris?", "get_weather"),
    ("What is 1234 * 5678? Use the calculator.", "calculator"),
    ("Write the line print('hello, wörld') to /tmp/hello.py.", "write_file"),
    ("Put lunch with Ann and Bob into my calendar on 2026-12-01 at 12.", "make_event"),
    ("Hello, who are you?", None),
]


def joined(stream):
    """A message of the pieces of a stream, with what clients rely on: a call's id and name come
    once, its index always."""
    content, calls, reason = "", [], None
    for chunk in stream:
        if not chunk.choices:
            continue
        [choice] = chunk.choices
        reason = choice.finish_reason or reason
        content += choice.delta.content or ""
        for piece in choice.delta.tool_calls or []:
            assert piece.index in (len(calls) - 1, len(calls)), piece
            if piece.index == len(calls):
                assert piece.id and piece.function.name and piece.type == "function", piece
                calls.append({"id": piece.id, "name": piece.function.name, "arguments": ""})
            else:
                assert piece.id is None and piece.function.name is None, piece
            calls[piece.index]["arguments"] += piece.function.arguments or ""
    return content, calls, reason


def asked(client, model, messages, **more):
    """Content, calls and finish reason, the same streamed and not."""
    fields = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 128,
              "tools": TOOLS} | more
    [choice] = client.chat.completions.create(**fields).choices
    calls = [{"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
             for call in choice.message.tool_calls or []]
    streamed = joined(client.chat.completions.create(**fields, stream=True))
    without_ids = lambda calls: [(call["name"], call["arguments"]) for call in calls]
    assert streamed[0] == (choice.message.content or ""), (streamed, choice)
    assert without_ids(streamed[1]) == without_ids(calls), (streamed, choice)
    assert streamed[2] == choice.finish_reason, (streamed, choice)
    if choice.finish_reason == "tool_calls":
        assert calls, choice
        for call in calls:
            assert isinstance(json.loads(call["arguments"]), dict), call
    return choice.message.content or "", calls, choice.finish_reason


def turn(client, model, messages, **more):
    """Asks, and adds the answer and the results of its calls to the messages."""
    content, calls, reason = asked(client, model, messages, **more)
    message = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function",
             "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]
    messages.append(message)
    for call in calls:
        messages.append({"role": "tool", "tool_call_id": call["id"],
                         "content": RESULTS.get(call["name"], "There is no such tool.")})
    return content, calls, reason


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--key", default="none")
    arguments = parser.parse_args()
    client = openai.OpenAI(base_url=arguments.url, api_key=arguments.key, max_retries=0, timeout=600)
    model = client.models.list().data[0].id

    right = 0
    for question, expected in QUESTIONS:  # the model's own choice
        messages = [{"role": "user", "content": question}]
        _, calls, _ = turn(client, model, messages)
        names = [call["name"] for call in calls]
        right += names == ([expected] if expected else [])
        print(f"{question!r}: {calls or messages[-1]['content']!r}")
        if calls:  # the results' turn
            content, _, _ = turn(client, model, messages)
            print(f"  then: {content!r}")
    print(f"the expected tool, alone: {right} of {len(QUESTIONS)}")

    for name in RESULTS:  # a tool that must be called is
        messages = [{"role": "user", "content": "Please use a tool of your choice for Paris."}]
        choice = {"type": "function", "function": {"name": name}}
        _, calls, reason = turn(client, model, messages, tool_choice=choice)
        assert [call["name"] for call in calls] == [name], calls
        assert reason in ("stop", "tool_calls"), reason
    messages = [{"role": "user", "content": "Hello!"}]
    _, calls, _ = turn(client, model, messages, tool_choice="required")
    assert calls, messages
    messages = [{"role": "user", "content": QUESTIONS[0][0]}]
    content, calls, reason = turn(client, model, messages, tool_choice="none")
    assert not calls and content and reason == "stop", messages

    # A conversation of several turns, with calls and results all along.
    messages = [{"role": "system", "content": "You use the tools that you have."}]
    for question, _ in QUESTIONS:
        messages.append({"role": "user", "content": question})
        turn(client, model, messages)
        if messages[-1]["role"] == "tool":
            turn(client, model, messages, tool_choice="none")
    print(f"a conversation of {len(messages)} messages ok")


if __name__ == "__main__":
    main()
