"""OpenAI's own Python client against a started server: every feature, as people use it.

    python openai_client.py http://127.0.0.1:8000/v1 [--talks]

With --talks the model must be one that answers and calls tools; else any will do. Without retries,
so that no failure is hidden.
"""
import argparse
import asyncio
import json
import sys
import unittest
import urllib.request

import openai

URL = ""
TALKS = False
QUESTION = [{"role": "user", "content": "Write a function that adds two numbers."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Its name"}},
                "required": ["city"],
            },
        },
    }
]


def client():
    return openai.OpenAI(base_url=URL, api_key="none", max_retries=0, timeout=120)


def joined(stream):
    """Content, calls, finish reasons and usage of a chat's stream, by choice."""
    content, calls, reasons, usage, chunks = {}, {}, {}, None, []
    for chunk in stream:
        chunks.append(chunk)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content.setdefault(choice.index, "")
            content[choice.index] += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault((choice.index, piece.index), {"name": "", "arguments": ""})
                if piece.id:
                    assert "id" not in call, "an id comes once"
                    call["id"] = piece.id
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    return content, calls, reasons, usage, chunks


class OpenAiTest(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.model = self.client.models.list().data[0].id

    def chat(self, **fields):
        fields = {"messages": QUESTION, "max_tokens": 24, "temperature": 0, **fields}
        return self.client.chat.completions.create(model=self.model, **fields)

    def complete(self, **fields):
        fields = {"prompt": "def add(a, b):", "max_tokens": 24, "temperature": 0, **fields}
        return self.client.completions.create(model=self.model, **fields)


class Models(OpenAiTest):
    def test_list_and_retrieve(self):
        models = self.client.models.list().data
        self.assertEqual(len(models), 1)
        self.assertEqual(self.client.models.retrieve(models[0].id).id, models[0].id)

    def test_unknown(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("no/such model")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="gpt-4o", messages=QUESTION)


class Chat(OpenAiTest):
    def test_answer(self):
        answer = self.chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        usage = answer.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertTrue(answer.system_fingerprint.startswith("orthrus-"))
        self.assertEqual(self.chat().choices, answer.choices)

    def test_stream_is_the_answer(self):
        for own in ({"mode": "ar"}, {"mode": "dual"}, {"mode": "auto"}):
            whole = self.chat(n=2, temperature=0.9, seed=3, extra_body={"orthrus": own})
            stream = self.chat(
                n=2, temperature=0.9, seed=3, stream=True,
                stream_options={"include_usage": True}, extra_body={"orthrus": own})
            content, _, reasons, usage, chunks = joined(stream)
            for choice in whole.choices:
                self.assertEqual(content[choice.index], choice.message.content)
                self.assertEqual(reasons[choice.index], choice.finish_reason)
            self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
            self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
            self.assertEqual(chunks[-1].choices, [])

    def test_choices_are_requests_of_the_next_seeds(self):
        both = self.chat(n=2, temperature=1, seed=70)
        for i, choice in enumerate(both.choices):
            alone = self.chat(temperature=1, seed=70 + i)
            self.assertEqual(alone.choices[0].message.content, choice.message.content)

    def test_drawn_seeds_give_the_answer_again(self):
        answer = self.chat(temperature=1.2)
        seed = answer.model_extra["orthrus"]["seed"]
        again = self.chat(temperature=1.2, seed=seed)
        self.assertEqual(again.choices, answer.choices)

    def test_stop(self):
        text = self.chat(max_tokens=40).choices[0].message.content
        stop = text[len(text) // 2:][:4]
        answer = self.chat(max_tokens=40, stop=[stop, "never, ever"]).choices[0]
        self.assertEqual(answer.message.content, text[:text.index(stop)])
        self.assertEqual(answer.finish_reason, "stop")
        self.assertEqual(answer.model_extra["stop_reason"], stop)
        content, *_ = joined(self.chat(max_tokens=40, stop=stop, stream=True))
        self.assertEqual(content[0], text[:text.index(stop)])

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3).choices[0]
        tokens = answer.logprobs.content
        self.assertEqual(len(tokens), self.chat().usage.completion_tokens)
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)  # greedy
        shown = b"".join(bytes(token.bytes) for token in tokens)
        self.assertTrue(shown.startswith(answer.message.content.encode()))
        for mode in ("ar", "dual"):
            again = self.chat(logprobs=True, top_logprobs=3,
                              extra_body={"orthrus": {"mode": mode}}).choices[0]
            self.assertEqual(again.logprobs, answer.logprobs)
        streamed = []
        for chunk in self.chat(logprobs=True, top_logprobs=3, stream=True):
            if chunk.choices[0].logprobs:
                streamed += chunk.choices[0].logprobs.content
        self.assertEqual([t.model_dump() for t in streamed], [t.model_dump() for t in tokens])

    def test_forms_of_messages(self):
        parts = [{"role": "developer", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"id": "a", "type": "function",
                      "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}]},
                 {"role": "tool", "tool_call_id": "a", "content": "Rain"}]
        self.assertEqual(len(self.chat(messages=parts, tools=TOOLS).choices), 1)

    def test_passes(self):
        tokens, text = 0, ""
        stream = self.chat(stream=True, extra_body={"orthrus": {"passes": True}})
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            tokens += (chunk.model_extra.get("orthrus") or {}).get("tokens", 0)
        self.assertEqual(tokens, self.chat().usage.completion_tokens)
        self.assertEqual(text, self.chat().choices[0].message.content)

    def test_drafts_are_told(self):
        answer = self.complete(extra_body={"orthrus": {"mode": "dual"}})
        counts = answer.model_extra["metrics"]["speculative_decoding"]
        self.assertEqual(sum(counts["acceptance_histogram"]), counts["num_spec_steps"])
        self.assertGreater(answer.model_extra["orthrus"]["tokens_per_forward"], 0)

    def test_a_stream_may_be_left(self):
        stream = self.chat(max_tokens=500, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        self.chat(max_tokens=1)

    def test_request_ids(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model=self.model, messages=QUESTION, max_tokens=1,
            extra_headers={"X-Request-Id": "mine"})
        self.assertEqual(raw.headers["x-request-id"], "mine")
        self.assertEqual(raw.parse().id, "chatcmpl-mine")


class Refusals(OpenAiTest):
    def refused(self, param, **fields):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(**fields)
        self.assertEqual(caught.exception.param, param)
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertIn(param, str(caught.exception))

    def test_ranges(self):
        self.refused("temperature", temperature=101)
        self.refused("top_p", top_p=0)
        self.refused("n", n=129)
        self.refused("max_tokens", max_tokens=-1)
        self.refused("max_completion_tokens", max_completion_tokens=0)
        self.refused("top_logprobs", logprobs=True, top_logprobs=21)
        self.refused("logit_bias.5", logit_bias={"5": 101})
        self.refused("presence_penalty", presence_penalty=2.5)
        self.refused("messages", messages=[])
        self.refused("messages[0].role", messages=[{"role": "wizard", "content": "x"}])

    def test_what_cannot_be_guaranteed(self):
        self.refused("response_format.type", response_format={"type": "json_object"})
        self.refused("modalities", modalities=["text", "audio"])
        self.refused("messages[0].content[0].type", messages=[
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}])

    def test_too_long(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": " a" * 200_000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_unknown_fields_are_ignored(self):
        self.chat(max_tokens=1, user="me", store=True, metadata={"a": "b"}, service_tier="auto",
                  extra_body={"no_such_field": [1]})


class Completions(OpenAiTest):
    def test_prompts(self):
        text = self.complete().choices[0].text
        with urllib.request.urlopen(URL.removesuffix("/v1") + "/tokenize",
                                    b'{"prompt": "def add(a, b):"}') as answer:
            ids = json.load(answer)["tokens"]
        self.assertEqual(self.complete(prompt=ids).choices[0].text, text)
        batch = self.complete(prompt=["def add(a, b):", "import os"])
        self.assertEqual(batch.choices[0].text, text)
        self.assertEqual(batch.choices[1].text, self.complete(prompt="import os").choices[0].text)
        self.assertEqual(len(self.complete(prompt=[ids, ids], n=2, best_of=2).choices), 4)

    def test_echo_scores_the_prompt(self):
        answer = self.complete(echo=True, logprobs=2, max_tokens=1)
        prompt = answer.usage.prompt_tokens
        logprobs = answer.choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), prompt + 1)
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertTrue(all(p <= 0 for p in logprobs.token_logprobs[1:]))
        for token, logprob, top in list(zip(
                logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs))[1:]:
            self.assertEqual(top[token], logprob)
        self.assertTrue(answer.choices[0].text.startswith("def add(a, b):"))
        alone = self.complete(echo=True, logprobs=2, max_tokens=0)
        self.assertEqual(alone.choices[0].logprobs.token_logprobs, logprobs.token_logprobs[:-1])
        self.assertEqual(alone.usage.completion_tokens, 0)
        again = self.complete(echo=True, logprobs=2, max_tokens=1)  # whatever is cached by now
        self.assertEqual(again.choices[0].logprobs, logprobs)

    def test_logprobs(self):
        answer = self.complete(logprobs=1)
        logprobs = answer.choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), answer.usage.completion_tokens)
        at = 0
        for token, offset in zip(logprobs.tokens, logprobs.text_offset):
            self.assertEqual(offset, at)
            at += len(token)

    def test_stream(self):
        text = "".join(c.choices[0].text for c in self.complete(stream=True, echo=True))
        self.assertEqual(text, self.complete(echo=True).choices[0].text)


class Concurrency(OpenAiTest):
    def test_others_change_nothing(self):
        asyncio.run(self.many())

    async def many(self):
        async with openai.AsyncOpenAI(
                base_url=URL, api_key="none", max_retries=0, timeout=300) as many:
            async def answer(i, stream):
                fields = dict(
                    model=self.model, prompt="def f%d(" % (i % 5), max_tokens=8 + i,
                    temperature=i % 3 / 2, seed=i,
                    extra_body={"orthrus": {"mode": ("ar", "dual", "auto")[i % 3]}})
                if not stream:
                    return (await many.completions.create(**fields)).choices[0].text
                text = ""
                async for chunk in await many.completions.create(stream=True, **fields):
                    text += chunk.choices[0].text
                return text

            together = await asyncio.gather(*(answer(i, True) for i in range(24)))
            for i, text in enumerate(together):
                self.assertEqual(text, await answer(i, False), i)


class Tools(OpenAiTest):
    messages = [{"role": "user", "content": "What is the weather in Paris? Use the tool."}]

    def setUp(self):
        super().setUp()
        if not TALKS:
            self.skipTest("the model calls no tools")

    def check(self, call):
        self.assertEqual(call["name"], "get_weather")
        self.assertIn("Paris", json.loads(call["arguments"])["city"])

    def test_calls(self):
        for choice in ("auto", "required",
                       {"type": "function", "function": {"name": "get_weather"}}):
            fields = dict(messages=self.messages, tools=TOOLS, tool_choice=choice, max_tokens=100)
            answer = self.chat(**fields).choices[0]
            self.assertEqual(answer.finish_reason, "tool_calls", choice)
            for call in answer.message.tool_calls:
                self.check(call.function.model_dump())
            _, calls, reasons, _, _ = joined(self.chat(stream=True, **fields))
            self.assertEqual(reasons[0], "tool_calls")
            self.assertEqual(
                [(c["name"], c["arguments"]) for c in calls.values()],
                [(c.function.name, c.function.arguments) for c in answer.message.tool_calls])

    def test_none(self):
        answer = self.chat(messages=self.messages, tools=TOOLS, tool_choice="none").choices[0]
        self.assertIsNone(answer.message.tool_calls)

    def test_the_result_is_answered(self):
        call = self.chat(messages=self.messages, tools=TOOLS, tool_choice="required",
                         max_tokens=100).choices[0].message
        result = {"role": "tool", "tool_call_id": call.tool_calls[0].id,
                  "content": '{"weather": "rain", "degrees": 11}'}
        answer = self.chat(messages=[*self.messages, call.model_dump(exclude_none=True), result],
                           tools=TOOLS, max_tokens=60).choices[0]
        self.assertIn("rain", answer.message.content.lower())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--talks", action="store_true")
    arguments, rest = parser.parse_known_args()
    URL, TALKS = arguments.url, arguments.talks
    unittest.main(argv=[sys.argv[0], *rest])
