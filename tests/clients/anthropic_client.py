"""Anthropic's client for Python against a started server, with a model that knows tools:

    pip install anthropic
    orthrus serve -m MODEL --api-key secret &
    tests/clients/anthropic_client.py --url http://127.0.0.1:8000 --key secret

Ends with an error at the first thing that is not as it must be.
"""
import argparse
import json
import pathlib

import anthropic

WEATHER = {
    "name": "get_weather",
    "description": "Current weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
# Claude Code asks in this shape; the hash in the first line of its system prompt is another one
# each time.
CLAUDE_CODE = json.loads((pathlib.Path(__file__).parent / "claude_code.json").read_text())


def question(text, **more):
    return {"model": "claude-any", "max_tokens": 64, "extra_body": {"temperature": 0},
            "messages": [{"role": "user", "content": text}], **more}


def texts(message):
    return "".join(block.text for block in message.content if block.type == "text")


def check_message(client):
    message = client.messages.create(**question("Say hello."))
    assert message.type == "message" and message.role == "assistant", message
    assert message.id.startswith("msg_") and message.model == "claude-any", message
    assert texts(message) and message.stop_reason == "end_turn", message
    assert message.usage.input_tokens + message.usage.cache_read_input_tokens > 0, message
    assert 0 < message.usage.output_tokens <= 64, message
    assert message._request_id
    short = client.messages.create(**question("Count to one hundred.", max_tokens=3))
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 3, short
    whole = texts(client.messages.create(**question("Count from 1 to 9.")))
    stop = whole[len(whole) // 2:][:3]
    stopped = client.messages.create(**question("Count from 1 to 9.", stop_sequences=[stop]))
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == stop, stopped
    assert texts(stopped) == whole[:whole.index(stop)], (whole, stopped)


def check_stream(client):
    asked = question("Write a function that reverses a list.", system="You write Python.")
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert texts(streamed) == texts(whole), (streamed, whole)
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    order = [kind for i, kind in enumerate(kinds) if kind not in ("text",) and kinds[i - 1] != kind]
    assert order[0] == "message_start" and order[-1] == "message_stop", order
    assert "content_block_start" in order and "message_delta" in order, order
    # What one passes on ends the request.
    with client.messages.create(**asked, stream=True) as events:
        for event in events:
            if event.type == "content_block_delta":
                break


def check_tools(client):
    asked = question("What is the weather in Paris?", tools=[WEATHER],
                     tool_choice={"type": "tool", "name": "get_weather"})
    message = client.messages.create(**asked)
    [call] = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use", message
    assert call.name == "get_weather" and "paris" in call.input["city"].lower(), call
    assert call.id.startswith("toolu_")
    with client.messages.stream(**asked) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        streamed = stream.get_final_message()
    assert json.loads("".join(pieces)) == call.input, pieces
    assert [block.input for block in streamed.content if block.type == "tool_use"] == [call.input]

    asked["messages"] += [
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call.id,
             "content": [{"type": "text", "text": "18 degrees, light rain"}]},
            {"type": "text", "text": "In one sentence, please."}]}]
    asked["tool_choice"] = {"type": "none"}
    answer = client.messages.create(**asked)
    assert "18" in texts(answer) or "rain" in texts(answer), answer
    asked["tool_choice"] = {"type": "any", "disable_parallel_tool_use": True}
    again = client.messages.create(**asked)
    assert sum(block.type == "tool_use" for block in again.content) <= 1, again


def check_thinking(client):
    """A model that does not think takes the field, and thoughts of others in the history."""
    message = client.messages.create(**question(
        "Say hello.", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024}))
    assert texts(message), message
    message = client.messages.create(**question(None, thinking={"type": "adaptive"}, max_tokens=16) | {
        "messages": [{"role": "user", "content": "Hello."},
                     {"role": "assistant", "content": [
                         {"type": "thinking", "thinking": "A greeting.", "signature": "x"},
                         {"type": "redacted_thinking", "data": "abc"},
                         {"type": "text", "text": "Hello!"}]},
                     {"role": "user", "content": "Bye."}]})
    assert texts(message), message


def check_prefill(client):
    message = client.messages.create(**question("Name a colour of the rainbow.", max_tokens=8) | {
        "messages": [{"role": "user", "content": "Answer in JSON: a colour of the rainbow."},
                     {"role": "assistant", "content": '{"colour": "'}]})
    assert not texts(message).startswith("{"), message


def check_count_tokens(client):
    asked = question("What is the weather in Paris?", tools=[WEATHER], system="Be brief.")
    usage = client.messages.create(**asked).usage
    del asked["max_tokens"]
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == usage.input_tokens + usage.cache_read_input_tokens, (counted, usage)


def check_errors(client):
    def refused(kind, status, **fields):
        try:
            client.messages.create(**question("q") | fields)
        except kind as error:
            assert error.status_code == status, error
            assert error.body["type"] == "error" and error.body["error"]["message"], error.body
            return error.body["error"]
        raise AssertionError(f"not refused: {fields}")

    bad = anthropic.BadRequestError
    assert refused(bad, 400, max_tokens=0)["type"] == "invalid_request_error"
    assert "temperature" in refused(bad, 400, extra_body={"temperature": 1.5})["message"]
    image = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert "messages[0].content[0].type" in refused(bad, 400, messages=[
        {"role": "user", "content": [{"type": "image", "source": image}]}])["message"]
    assert "tools[0].type" in refused(bad, 400, tools=[
        {"type": "web_search_20250305", "name": "web_search"}])["message"]
    too_long = "word " * 40000
    assert "prompt is too long" in refused(bad, 400, messages=[
        {"role": "user", "content": too_long}])["message"]
    too_large = "x" * (33 << 20)
    assert refused(anthropic.APIStatusError, 413, messages=[
        {"role": "user", "content": too_large}])["type"] == "request_too_large"


def check_keys(client, url):
    stranger = anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0)
    try:
        stranger.messages.create(**question("q"))
        raise AssertionError("a wrong key was taken")
    except anthropic.AuthenticationError as error:
        assert error.body["error"]["type"] == "authentication_error", error.body
    bearer = anthropic.Anthropic(base_url=url, auth_token=client.api_key, max_retries=0)
    assert bearer.messages.count_tokens(
        model="m", messages=[{"role": "user", "content": "q"}]).input_tokens > 0


def check_claude_code(client):
    """The second request finds in the cache what the first one left there."""
    usages = []
    for cch in ("eb6c6", "4e20a"):
        asked = json.loads(json.dumps(CLAUDE_CODE).replace("CCH", cch))
        temperature = {"temperature": asked.pop("temperature")}
        with client.beta.messages.stream(
                **asked, extra_body=temperature, betas=["claude-code-20250219"],
                extra_headers={"user-agent": "claude-cli/2.1.100 (external, cli)"}) as stream:
            message = stream.get_final_message()
        assert message.stop_reason in ("end_turn", "tool_use", "max_tokens"), message
        usages.append(message.usage)
    total = usages[0].input_tokens + usages[0].cache_read_input_tokens
    assert usages[1].input_tokens + usages[1].cache_read_input_tokens == total, usages
    assert usages[1].cache_read_input_tokens > total // 2, usages
    print(f"  Claude Code's second request: {usages[1].cache_read_input_tokens} of {total} tokens "
          "were cached")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", help="of a server that wants one")
    arguments = parser.parse_args()
    client = anthropic.Anthropic(base_url=arguments.url, api_key=arguments.key or "none",
                                 max_retries=0, timeout=600)
    for check in (check_message, check_stream, check_tools, check_thinking, check_prefill,
                  check_count_tokens, check_claude_code, check_errors):
        check(client)
        print(check.__name__[6:].replace("_", " "), "ok", flush=True)
    if arguments.key:
        check_keys(client, arguments.url)
        print("keys ok")


if __name__ == "__main__":
    main()
