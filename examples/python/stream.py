"""Shows what each forward pass gave, with a bar between them: python stream.py MODEL 'import'"""

import argparse
import sys

import orthrus

parser = argparse.ArgumentParser("python stream.py", description=__doc__)
parser.add_argument("model", metavar="MODEL")
parser.add_argument("prompt", metavar="PROMPT")
arguments = parser.parse_args()
prompt = arguments.prompt
try:
    engine = orthrus.Engine(arguments.model)
    with engine.stream(prompt, orthrus.SamplingParams(max_tokens=64, seed=3)) as stream:
        print(prompt, end="", flush=True)
        for step in stream:
            print(step.text, end="|", flush=True)
    print()
except orthrus.Error as error:
    sys.exit(f"stream.py: {error}")
