"""Shows what each forward pass gave, with a bar between them: python stream.py MODEL 'import'"""

import sys

import orthrus

if len(sys.argv) != 3:
    print("usage: python stream.py MODEL PROMPT", file=sys.stderr)
    sys.exit(2)
model, prompt = sys.argv[1:]
engine = orthrus.Engine(model)
print(prompt, end="", flush=True)
with engine.stream(prompt, orthrus.SamplingParams(max_tokens=64, seed=3)) as stream:
    for step in stream:
        print(step.text, end="|", flush=True)
print()
