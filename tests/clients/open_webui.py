"""What Open WebUI asks of a server behind its OpenAI connection, by its public sources: the list of
models, chats as its browser streams them, tools that it runs itself, and its own short questions
for titles. With the standard library alone:

    orthrus serve -m MODEL --api-key secret &
    tests/clients/open_webui.py --url http://127.0.0.1:8000/v1 --key secret
"""
import argparse
import json
import urllib.request

HEADERS = {"Content-Type": "application/json", "X-OpenWebUI-User-Name": "Ann%20B",
           "X-OpenWebUI-User-Id": "0b1e7d0c", "X-OpenWebUI-User-Role": "user",
           "X-OpenWebUI-Chat-Id": "5a1f"}
CALCULATOR = {"type": "function", "function": {
    "name": "calculator", "description": "Evaluate an expression",
    "parameters": {"properties": {"expression": {"description": "What to evaluate",
                                                 "type": "string"}},
                   "required": ["expression"], "type": "object"}}}


def ask(arguments, path, body=None):
    request = urllib.request.Request(
        arguments.url + path, None if body is None else json.dumps(body).encode(),
        HEADERS | {"Authorization": f"Bearer {arguments.key}"})
    return urllib.request.urlopen(request, timeout=600)


def chat(arguments, **fields):
    """The answer's text, its calls, and the usage."""
    text, calls, usage = "", {}, None
    with ask(arguments, "/chat/completions", {"stream": True, **fields}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream"), response.headers
        for line in response:
            line = line.decode().strip()
            if not line:
                continue
            assert line.startswith("data: "), line
            if line == "data: [DONE]":
                return text, list(calls.values()), usage
            data = json.loads(line[6:])
            usage = data.get("usage") or usage
            for choice in data["choices"]:
                text += choice["delta"].get("content") or ""
                for piece in choice["delta"].get("tool_calls") or []:
                    call = calls.setdefault(piece["index"], piece)
                    if call is not piece:
                        call["function"]["arguments"] += piece["function"]["arguments"]
    raise AssertionError("the stream ended without [DONE]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--key", default="none")
    arguments = parser.parse_args()
    with ask(arguments, "/models") as response:
        models = json.load(response)
    assert models["object"] == "list", models
    model = models["data"][0]["id"]

    user = {"role": "user", "content": "Hello! What can you do?"}
    text, calls, usage = chat(arguments, model=model, messages=[user], temperature=0, max_tokens=48,
                              stream_options={"include_usage": True})
    assert text and not calls and usage["completion_tokens"] > 0, (text, calls, usage)

    # Its system prompt, contents in parts, and settings of its own.
    text, _, _ = chat(
        arguments, model=model, temperature=0.8, top_p=0.9, top_k=40, min_p=0, seed=1,
        frequency_penalty=0, presence_penalty=0, repeat_penalty=1.1, stop=["</end>"], max_tokens=24,
        logit_bias={}, reasoning_effort="low", user="ann",
        messages=[{"role": "system", "content": "User: Ann\n\nBe brief."}, user,
                  {"role": "assistant", "content": text},
                  {"role": "user", "content": [{"type": "text", "text": "Thanks. And then?"}]}])
    assert text

    # A tool, whose call it adds to the chat with its result.
    messages = [{"role": "user", "content": "What is 17 * 23? Use the calculator."}]
    fields = {"model": model, "temperature": 0, "max_tokens": 64, "tools": [CALCULATOR]}
    _, calls, _ = chat(arguments, **fields, messages=messages, tool_choice="required")
    assert calls[0]["function"]["name"] == "calculator", calls
    messages += [{"role": "assistant", "content": "", "tool_calls": calls},
                 {"role": "tool", "tool_call_id": calls[0]["id"], "content": "391"}]
    text, _, _ = chat(arguments, **fields, messages=messages, tool_choice="none")
    assert "391" in text, text

    # The title of the chat, in one piece.
    task = ("### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat.\n"
            "### Output:\nJSON format: { \"title\": \"your title here\" }\n"
            "### Chat History:\n<chat_history>\nUSER: Hello!\n</chat_history>")
    with ask(arguments, "/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": task}], "stream": False,
            "max_completion_tokens": 64}) as response:
        answer = json.load(response)
    assert answer["choices"][0]["message"]["content"], answer
    print("ok")


if __name__ == "__main__":
    main()
