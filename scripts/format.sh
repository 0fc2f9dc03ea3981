#!/usr/bin/env bash
# Lays all C++, CUDA and JavaScript sources out by .clang-format, with clang-format 14, Debian
# bookworm's: scripts/format.sh. With --check it changes nothing and fails where something would.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh clang-format-14
mode=(-i)
[ "${1-}" != --check ] || mode=(--dry-run -Werror)
git ls-files -z '*.h' '*.cpp' '*.cu' '*.cuh' '*.js' | xargs -0 clang-format-14 "${mode[@]}"
