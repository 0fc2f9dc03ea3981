"""Continues a prompt, and tells how: python generate.py MODEL 'def fibonacci(n):'"""

import sys

import orthrus

if len(sys.argv) != 3:
    print("usage: python generate.py MODEL PROMPT", file=sys.stderr)
    sys.exit(2)
model, prompt = sys.argv[1:]
engine = orthrus.Engine(model)
generation = engine.generate(prompt, orthrus.SamplingParams(max_tokens=128, temperature=0))
print(prompt + generation.text)

stats = generation.stats
print(
    f"{stats.generated} tokens, {stats.tokens_per_second:.1f} a second, "
    f"{stats.tokens_per_forward:.2f} a pass, finish reason {generation.finish_reason}",
    file=sys.stderr,
)
