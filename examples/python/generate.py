"""Continues a prompt, and tells how: python generate.py MODEL 'def fibonacci(n):'"""

import argparse
import sys

import orthrus

parser = argparse.ArgumentParser("python generate.py", description=__doc__)
parser.add_argument("model", metavar="MODEL")
parser.add_argument("prompt", metavar="PROMPT")
arguments = parser.parse_args()
prompt = arguments.prompt
try:
    engine = orthrus.Engine(arguments.model)
    generation = engine.generate(prompt, orthrus.SamplingParams(max_tokens=128, temperature=0))
except orthrus.Error as error:
    sys.exit(f"generate.py: {error}")
print(prompt + generation.text)

stats = generation.stats
print(
    f"{stats.generated} tokens, {stats.tokens_per_second:.1f} a second, "
    f"{stats.tokens_per_forward:.2f} a pass, finish reason {generation.finish_reason}",
    file=sys.stderr,
)
