"""A chat in the terminal, ended by an empty line: python chat.py MODEL"""

import sys

import orthrus

if len(sys.argv) != 2:
    print("usage: python chat.py MODEL", file=sys.stderr)
    sys.exit(2)
session = orthrus.Engine(sys.argv[1]).session(params=orthrus.SamplingParams(max_tokens=None))
while question := input("> "):
    try:
        for step in session.stream(question):
            print(step.text, end="", flush=True)
    except KeyboardInterrupt:
        pass  # no more of this answer
    print()
