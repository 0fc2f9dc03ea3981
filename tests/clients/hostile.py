#!/usr/bin/env python3
"""Good clients beside slow, broken and malicious ones, against a started `orthrus serve`.

    orthrus serve -m models/tiny-code --port 8000 &
    tests/clients/hostile.py http://127.0.0.1:8000 --orthrus build/orthrus --model models/tiny-code

Every good client streams a completion of a prompt, temperature, length and mode of its own, while
256 others are at their worst. Its text must be what the command line says alone. How soon /health
answers meanwhile is told. Only the standard library is used.
"""

import argparse
import asyncio
import json
import random
import select
import socket
import subprocess
import sys
import time
import urllib.parse

PROMPTS = ["def fibonacci(n):", "import os\n\ndef", "class Stack:", "for i in range(10):\n    ", "#"]


def http(method, path, body=b"", fields=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{fields}\r\n").encode() + body


class Server:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, data):
        """The status and the body, chunks joined, of one request on a connection of its own."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split()[1])
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            if "content-length" in fields:
                return status, await reader.readexactly(int(fields["content-length"]))
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            return status, body
        finally:
            writer.close()


def completion(prompt, **fields):
    body = {"prompt": prompt, "stream": True, **fields}
    return http("POST", "/v1/completions", json.dumps(body).encode(), "Content-Type: application/json\r\n")


def streamed_text(body):
    events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]", body[-300:]
    return "".join(choice["text"] for event in events[:-1] for choice in json.loads(event)["choices"])


# The worst, each a connection or a few; all of them end when they are cancelled.


async def one_byte_a_second(server):
    _, writer = await server.connect()
    for byte in completion("x" * 1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def reads_one_byte_a_second(server):
    reader, writer = await server.connect()
    writer.write(completion("def f():", max_tokens=100, ignore_eos=True))
    while await reader.read(1):
        await asyncio.sleep(1)


async def half_open(server):
    _, writer = await server.connect()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n{")
    await asyncio.sleep(3600)


async def goes_while_it_streams(server):
    reader, writer = await server.connect()
    writer.write(completion("def f():", max_tokens=100, ignore_eos=True))
    await reader.read(300)
    writer.transport.abort()


async def goes_while_it_waits(server):
    _, writer = await server.connect()
    writer.write(completion("def f():", max_tokens=100, stream=False))
    await asyncio.sleep(random.random() / 10)
    writer.transport.abort()


async def wants_all_logprobs(server):
    """Large answers, which are made beside the engine, and whose client may have gone by then."""
    fields = {"n": 4, "max_tokens": 5, "echo": True, "logprobs": 20, "stream": random.random() < 0.5}
    request = completion("x = 1\n" * 100, **fields)
    if random.random() < 0.5:
        status, _ = await server.ask(request)
        assert status == 200, status
    else:
        _, writer = await server.connect()
        writer.write(request)
        await asyncio.sleep(random.random())
        writer.transport.abort()


async def comes_and_goes(server):
    for _ in range(50):
        _, writer = await server.connect()
        writer.transport.abort()


async def sends_noise(server):
    reader, writer = await server.connect()
    writer.write(random.randbytes(random.randrange(1, 5000)))
    await reader.read()
    writer.close()


async def nests_deeply(server):
    status, _ = await server.ask(http("POST", "/v1/completions", b'{"prompt": ' + b"[" * 10_000))
    assert status == 400, status


async def sends_too_much(server):
    reader, writer = await server.connect()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 9000000000\r\n\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()


async def asks_for_the_impossible(server):
    fields = random.choice(
        [{"max_tokens": -1}, {"max_tokens": 2**63}, {"n": 10**9}, {"temperature": "hot"}, {"top_p": 7}, {"stop": [1] * 99}]
    )
    status, body = await server.ask(completion("x", **fields))
    assert status == 400, (fields, status, body)


async def floods_a_pipeline(server):
    _, writer = await server.connect()
    while True:
        writer.write(http("GET", "/v1/models") * 100)
        await asyncio.wait_for(writer.drain(), 5)


WORST = [
    one_byte_a_second, reads_one_byte_a_second, half_open, goes_while_it_streams, goes_while_it_waits, wants_all_logprobs,
    comes_and_goes, sends_noise, nests_deeply, sends_too_much, asks_for_the_impossible, floods_a_pipeline,
]  # fmt: skip


async def again_and_again(what, server, failures):
    while True:
        try:
            await what(server)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass  # what such a client gets
        except AssertionError as error:
            failures.append(f"{what.__name__}: {error}")
        await asyncio.sleep(4 * random.random())


def watch_health(server):
    """Asks until standard input ends, in a process of its own: this one's clients keep it busy."""
    slowest = []
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        began = time.monotonic()
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(http("GET", "/health"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        slowest.append(time.monotonic() - began)
    print(json.dumps(sorted(slowest)))


def wanted(options, job):
    command = [options.orthrus, "generate", "-m", options.model, "-p", job["prompt"], "-n", str(job["max_tokens"]),
               "--temperature", str(job["temperature"]), "--seed", str(job["seed"]), "--mode", job["mode"],
               "--ignore-eos", "--json"]  # fmt: skip
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["text"]


async def main(options):
    random.seed(options.seed)
    server = Server(options.url)
    jobs = [
        {
            "prompt": PROMPTS[i % len(PROMPTS)],
            "max_tokens": random.choice([1, 7, 30, 60, 100]),
            "temperature": random.choice([0, 0.7, 1.0]),
            "seed": i % 7,
            "mode": random.choice(["ar", "dual", "auto"]),
        }
        for i in range(options.good)
    ]
    expected = [wanted(options, job) for job in jobs]
    failures = []
    worst = [asyncio.create_task(again_and_again(WORST[i % len(WORST)], server, failures)) for i in range(options.worst)]
    health = subprocess.Popen(
        [sys.executable, __file__, options.url, "--model", "", "--watch-health"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip

    async def good(job, text):
        mode = {"mode": job["mode"]}
        fields = {key: value for key, value in job.items() if key not in ("mode", "prompt")}
        status, body = await server.ask(completion(job["prompt"], ignore_eos=True, orthrus=mode, **fields))
        if status != 200:
            failures.append(f"{job}: {status} {body[:300]}")
        elif streamed_text(body) != text:
            failures.append(f"{job}: {streamed_text(body)!r} is not {text!r}")

    began = time.monotonic()
    for _ in range(options.rounds):
        await asyncio.gather(*(good(job, text) for job, text in zip(jobs, expected)))
    took = time.monotonic() - began
    slowest = json.loads(health.communicate()[0])
    for task in worst:
        task.cancel()
    await asyncio.gather(*worst, return_exceptions=True)

    print(f"{options.rounds} x {len(jobs)} good clients beside {options.worst} others: {took:.1f} s")
    print(f"/health, {len(slowest)} times: median {1000 * slowest[len(slowest) // 2]:.1f} ms, "
          f"longest {1000 * slowest[-1]:.1f} ms")  # fmt: skip
    for failure in failures[:10]:
        print("FAILED:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--orthrus", default="build/orthrus", help="the command that says what is right")
    parser.add_argument("--model", required=True, help="the one that is served")
    parser.add_argument("--good", type=int, default=64)
    parser.add_argument("--worst", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--watch-health", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watch_health:
        watch_health(Server(given.url))
    else:
        sys.exit(asyncio.run(main(given)))
