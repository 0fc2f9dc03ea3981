#!/usr/bin/env bash
# From nothing to a trained Orthrus model writing code with both views.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# Tests are built by whoever wants them; a build folder that has them keeps them.
[ -f build/CMakeCache.txt ] || cmake --preset release -DORTHRUS_BUILD_TESTS=OFF >/dev/null
cmake --build --preset release --target orthrus-cli

prompt='class Stack:
    """A last-in, first-out stack."""

    def __init__(self):
'
echo
echo "models/tiny-code continues a prompt in both views; then plain AR decoding does it again."
echo "Tokens of one forward pass share a colour (on a terminal)."
echo
exec build/orthrus generate --model models/tiny-code --prompt "$prompt" --max-tokens 200 \
  --mode dual --compare-ar "$@"
