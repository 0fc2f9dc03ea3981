"""A chat in the terminal, ended by an empty line or Ctrl-D: python chat.py MODEL"""

import argparse
import sys

import orthrus


def ask() -> str:
    try:
        return input("> ")
    except EOFError:
        print()
        return ""


def chat(model: str) -> None:
    session = orthrus.Engine(model).session(params=orthrus.SamplingParams(max_tokens=None))
    while question := ask():
        try:
            for step in session.stream(question):
                print(step.text, end="", flush=True)
        except KeyboardInterrupt:
            pass  # no more of this answer
        print()


parser = argparse.ArgumentParser("python chat.py", description=__doc__)
parser.add_argument("model", metavar="MODEL")
try:
    chat(parser.parse_args().model)
except orthrus.Error as error:
    sys.exit(f"chat.py: {error}")
