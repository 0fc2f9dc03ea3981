#!/usr/bin/env python3
"""Streams beside each other: tokens a second in all, for servers of OpenAI's API.

  bench/streams.py http://127.0.0.1:8000 --streams 1,2,4,8 --modes ar,auto

Each stream asks for one chat completion after the other, greedily, of a few questions, for
--tokens tokens each; every number of streams has the same requests for every mode, in turns. Needs
nothing but Python. --plain leaves out what only orthrus understands, for other servers.
"""

import argparse
import asyncio
import json
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


async def measure(url, streams, mode, args):
    async def stream(i):
        total = 0
        for turn in range(args.turns):
            body = {
                "messages": [{"role": "user", "content": QUESTIONS[(i + turn) % len(QUESTIONS)]}],
                "max_tokens": args.tokens, "temperature": 0, "stream": True,
                "stream_options": {"include_usage": True},
            }
            if not args.plain:
                body |= {"ignore_eos": True, "orthrus": {"mode": mode}}
            tokens, _, text = await complete(url, body)
            texts.setdefault((i, turn), set()).add(text)
            total += tokens
        return total

    start = time.perf_counter()
    total = sum(await asyncio.gather(*(stream(i) for i in range(streams))))
    return total / (time.perf_counter() - start)


texts = {}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--streams", default="1,2,4,8")
    parser.add_argument("--modes", default="ar,auto")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    url = urlsplit(args.url)
    modes = args.modes.split(",")
    print("streams " + " ".join(f"{mode:>9}" for mode in modes))
    for streams in map(int, args.streams.split(",")):
        rates = {mode: [] for mode in modes}
        for _ in range(args.rounds):
            for mode in modes:
                rates[mode].append(await measure(url, streams, mode, args))
        print(f"{streams:7} " + " ".join(f"{statistics.median(rates[m]):9.1f}" for m in modes),
              flush=True)
    different = sum(len(t) > 1 for t in texts.values())
    print(f"{len(texts)} questions, {different} with answers that differ by mode, streams or round")


asyncio.run(main())
