#!/usr/bin/env bash
# Lays the sources out: scripts/format.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/format.sh [--check]

Lays all C++, CUDA and JavaScript sources out by .clang-format, with clang-format 14, Debian
bookworm's.

  --check  Change nothing, and fail where something would
EOF
}

mode=(-i)
case $* in
  -h | --help) usage && exit ;;
  --check) mode=(--dry-run -Werror) ;;
  ?*) echo "format: $* is not an option. See scripts/format.sh --help." >&2 && exit 2 ;;
esac

scripts/setup.sh clang-format-14
git ls-files -z '*.h' '*.cpp' '*.cu' '*.cuh' '*.js' | xargs -0 clang-format-14 "${mode[@]}"
