#!/usr/bin/env python3
"""What a server of OpenAI's API does under load. Needs nothing but Python.

  bench/serving.py URL streams --streams 1,2,4,8 --modes ar,auto
      Streams beside each other: tokens a second in all. Each asks for one chat completion, greedily,
      of --tokens tokens, and every number of streams the same ones in every mode, in turns.
  bench/serving.py URL cached --words 1500
      The first token behind a long prompt that is new, and behind the same prompt again.
  bench/serving.py URL pause --words 3000
      How long a running stream stands still while a long new prompt arrives.

--plain leaves out what only orthrus understands, for other servers.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from urllib.parse import urlsplit

QUESTIONS = [
    "Write a Python function that checks whether a string is a palindrome, with tests.",
    "Implement a binary search tree in C++ with insert, find and erase.",
    "Explain what a mutex is and show how to use one in Go.",
    "Write a JavaScript function that debounces another function, and explain each line.",
    "Implement quicksort in Rust with comments.",
    "Write a SQL schema for a library, with books, members and loans.",
    "Write a bash script that renames all .jpeg files to .jpg in a folder tree.",
    "Implement an LRU cache in Python with get and put in constant time.",
]
WORDS = "the cat sat on a mat while rain fell over hills and people walked home to read books".split()


def body_of(content, args, tokens, mode=None):
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": tokens,
            "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    if not args.plain:
        body["ignore_eos"] = True
        if mode:
            body["orthrus"] = {"mode": mode}
    return body


async def complete(url, body):
    """One streamed completion: its tokens, and when each piece came."""
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    data = json.dumps(body).encode()
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
    tokens, times, text = 0, [], ""
    async for line in reader:
        if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(event["error"])
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
        for choice in event.get("choices", []):
            piece = choice.get("delta", {}).get("content")
            if piece:
                times.append(time.perf_counter())
                text += piece
    writer.close()
    return tokens, times, text


async def total_rate(url, streams, mode, args, answers):
    async def stream(i):
        body = body_of(QUESTIONS[i % len(QUESTIONS)], args, args.tokens, mode)
        tokens, _, text = await complete(url, body)
        answers.setdefault(i % len(QUESTIONS), set()).add(text)
        return tokens

    start = time.perf_counter()
    total = sum(await asyncio.gather(*(stream(i) for i in range(streams))))
    return total / (time.perf_counter() - start)


async def streams(url, args):
    modes = args.modes.split(",")
    answers = {}
    print("streams " + " ".join(f"{mode:>9}" for mode in modes))
    for count in map(int, args.streams.split(",")):
        rates = {mode: [] for mode in modes}
        for _ in range(args.rounds):
            for mode in modes:
                rates[mode].append(await total_rate(url, count, mode, args, answers))
        print(f"{count:7} " + " ".join(f"{statistics.median(rates[m]):9.1f}" for m in modes),
              flush=True)
    different = sum(len(texts) > 1 for texts in answers.values())
    print(f"{len(answers)} questions, {different} with answers that differ by mode, streams or round")


def new_prompt(words):
    return f"{random.random()} " + " ".join(random.choice(WORDS) for _ in range(words))


async def cached(url, args):
    ratios = []
    for _ in range(args.rounds):
        prompt, seconds = new_prompt(args.words), []
        for _ in range(2):
            start = time.perf_counter()
            _, times, _ = await complete(url, body_of(prompt, args, 4))
            seconds.append(times[0] - start)
        ratios.append(seconds[0] / seconds[1])
        print(f"first token after {seconds[0]:.3f} s, again after {seconds[1]:.4f} s: "
              f"{ratios[-1]:.1f} times sooner", flush=True)
    print(f"median {statistics.median(ratios):.1f}")


async def pause(url, args):
    async def stream():
        _, times, _ = await complete(url, body_of(QUESTIONS[0], args, args.tokens, "ar"))
        return times

    running = asyncio.create_task(stream())
    await asyncio.sleep(1)
    arrived = time.perf_counter()
    _, first, _ = await complete(url, body_of(new_prompt(args.words), args, 1))
    times = await running
    gaps = [(b - a, a) for a, b in zip(times, times[1:])]
    before = [gap for gap, at in gaps if at < arrived]
    during = [gap for gap, at in gaps if arrived <= at < first[0]]
    print(f"a token each {1e3 * statistics.median(before):.1f} ms before; while the prompt was "
          f"computed, {first[0] - arrived:.2f} s, {1e3 * statistics.median(during):.1f} ms, "
          f"{1e3 * max(during):.1f} ms at most: {max(during) / statistics.median(during):.2f} times")


async def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("what", choices=["streams", "cached", "pause"])
    parser.add_argument("--streams", default="1,2,4,8")
    parser.add_argument("--modes", default="ar,auto")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=1500)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    await {"streams": streams, "cached": cached, "pause": pause}[args.what](
        urlsplit(args.url), args)


asyncio.run(main())
