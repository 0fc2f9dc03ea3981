#!/usr/bin/env bash
# Passes of the golden checkpoints under compute-sanitizer, on a machine with a CUDA device:
# scripts/sanitize-cuda.sh [TOOL]..., of memcheck, racecheck, initcheck and synccheck; the first two
# unless given. FORWARD_CHECK names the program where it is not build/tests/cuda/forward_check.
set -euo pipefail
cd "$(dirname "$0")/.."

check=${FORWARD_CHECK:-build/tests/cuda/forward_check}
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
[ $# -gt 0 ] || set -- memcheck racecheck
for tool in "$@"; do
  echo "compute-sanitizer, $tool"
  "$sanitizer" --tool "$tool" --error-exitcode 1 "$check" tests/data models --few tied untied
done
