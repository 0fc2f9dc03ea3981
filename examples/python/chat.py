"""A chat in the terminal, ended by an empty line: python chat.py MODEL"""

import sys

import orthrus

session = orthrus.Engine(sys.argv[1]).session(params=orthrus.SamplingParams(max_tokens=None))
while question := input("> "):
    try:
        for step in session.stream(question):
            print(step.text, end="", flush=True)
    except KeyboardInterrupt:
        pass  # no more of this answer
    print()
