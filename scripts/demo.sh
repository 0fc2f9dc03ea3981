#!/usr/bin/env bash
# From nothing to a model that answers: scripts/demo.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/demo.sh [--tiny] [OPTION...]

From nothing to a real chat model answering a question: installs what is missing, builds, downloads
0.5 GB once. Where the model cannot be downloaded, it is as with --tiny.

  --tiny   The small model of the repository continues a prompt instead

Other options go to orthrus generate: --device cuda, --max-tokens 64.
EOF
}

tiny=no
if [ "${1-}" = --tiny ]; then
  tiny=yes
  shift
fi
case ${1-} in
  -h | --help) usage && exit ;;
  -* | "") ;;
  *) echo "demo: $1 is not an option." >&2 && usage >&2 && exit 2 ;;
esac

scripts/setup.sh
# Tests are built by whoever wants them; a build folder that has them keeps them.
[ -f build/CMakeCache.txt ] || cmake --preset release -DORTHRUS_BUILD_TESTS=OFF >/dev/null
cmake --build --preset release --target orthrus-cli

name=qwen2.5-coder-0.5b
status=0
[ $tiny = yes ] || scripts/get-model.sh $name || status=$?
if [ $status -eq 1 ]; then
  echo "demo: without $name; models/tiny-code, which comes with the repository, takes its place."
  tiny=yes
elif [ $status -ne 0 ]; then
  exit $status  # Ctrl-C
fi

echo
if [ $tiny = yes ]; then
  model=models/tiny-code
  prompt=(--prompt 'class Stack:
    """A last-in, first-out stack."""

    def __init__(self):
')
  echo "$model, a toy of 24 M parameters, continues a prompt."
else
  model=models/$name-orthrus/$name-instruct-q4_k_m.gguf
  question='Write a Python class for a bank account with deposit, withdraw and a history.'
  prompt=(--chat --prompt "$question")
  echo "Qwen2.5-Coder-0.5B-Instruct is asked: $question"
fi
echo "Tokens of one forward pass share a colour (on a terminal). Then plain decoding does it again."
echo
exec build/orthrus generate --model "$model" "${prompt[@]}" --compare-ar "$@"
