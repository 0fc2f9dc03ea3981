#!/usr/bin/env bash
# From nothing to all tests run: scripts/test.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/test.sh [ARGUMENT...]

From nothing to all tests run. Arguments go to ctest (-R NAME, --repeat until-fail:3, ...); with some
the trainer's tests, which pytest runs, are left out. With ORTHRUS_WERROR=ON in the environment, as
in CI, compiler warnings are errors. The Python package and the trainer are built and tested in a
virtual environment, build/venv, the latter with PyTorch: 5 GB. Run again, it needs no network.
EOF
}

case ${1-} in
  -h | --help) usage && exit ;;
esac

scripts/setup.sh libgtest-dev python3-dev python3-pip python3-venv tmux chromium
[ -e build/venv/bin/python ] || python3 -m venv build/venv
build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/tests/requirements.txt
cmake --preset release -DORTHRUS_BUILD_TESTS=ON -DORTHRUS_WERROR="${ORTHRUS_WERROR:-OFF}" \
  -DORTHRUS_BUILD_PYTHON=ON -DPython_EXECUTABLE="$PWD/build/venv/bin/python"
cmake --build --preset release
build/venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --no-build-isolation -e 'train[test]'
status=0
ctest --preset release "$@" || status=$?
if [ $# -eq 0 ]; then
  PYTHONPATH="$PWD/build/python/package" ORTHRUS="$PWD/build/orthrus" \
    build/venv/bin/python -m pytest -q train || status=$?
fi
model=qwen2.5-coder-0.5b
if [ ! -e models/$model-orthrus/$model-instruct-q4_k_m.gguf ]; then
  echo "real model: not here, tests labelled real are not run (scripts/get-model.sh $model)"
fi
exit $status
