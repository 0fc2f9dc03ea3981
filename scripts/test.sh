#!/usr/bin/env bash
# From nothing to all tests run. Arguments go to ctest (-R NAME, --repeat until-fail:3, ...). With
# ORTHRUS_WERROR=ON in the environment, as in CI, compiler warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh libgtest-dev python3-pip tmux chromium
cmake --preset release -DORTHRUS_BUILD_TESTS=ON -DORTHRUS_WERROR="${ORTHRUS_WERROR:-OFF}"
cmake --build --preset release
status=0
ctest --preset release "$@" || status=$?
model=qwen2.5-coder-0.5b
if [ ! -e models/$model-orthrus/$model-instruct-q4_k_m.gguf ]; then
  echo "real model: not here, tests labelled real are not run (scripts/get-model.sh $model)"
fi
exit $status
