"""A chat in the terminal, ended by an empty line or Ctrl-D: python chat.py MODEL"""

import argparse

import orthrus


def ask() -> str:
    try:
        return input("> ")
    except EOFError:
        print()
        return ""


parser = argparse.ArgumentParser("python chat.py", description=__doc__)
parser.add_argument("model", metavar="MODEL")
model = parser.parse_args().model
session = orthrus.Engine(model).session(params=orthrus.SamplingParams(max_tokens=None))
while question := ask():
    try:
        for step in session.stream(question):
            print(step.text, end="", flush=True)
    except KeyboardInterrupt:
        pass  # no more of this answer
    print()
