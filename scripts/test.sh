#!/usr/bin/env bash
# From nothing to all tests run. Arguments go to ctest (-R NAME, --repeat until-fail:3, ...).
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh libgtest-dev python3-pip
cmake --preset release -DORTHRUS_BUILD_TESTS=ON
cmake --build --preset release
ctest --preset release "$@"
