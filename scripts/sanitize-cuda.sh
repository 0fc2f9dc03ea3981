#!/usr/bin/env bash
# Runs compute-sanitizer: scripts/sanitize-cuda.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/sanitize-cuda.sh [TOOL]...

Passes and cycles of the golden checkpoints under compute-sanitizer, on a machine with a CUDA device.
TOOL is memcheck, racecheck, initcheck or synccheck; the first two unless given. FORWARD_CHECK and
ORTHRUS name the programs where they are not build/tests/cuda/forward_check and build/orthrus.
EOF
}

for tool in "$@"; do
  case $tool in
    -h | --help) usage && exit ;;
    memcheck | racecheck | initcheck | synccheck) ;;
    *) echo "sanitize-cuda: $tool is not a tool. See scripts/sanitize-cuda.sh --help." >&2 && exit 2 ;;
  esac
done

check=${FORWARD_CHECK:-build/tests/cuda/forward_check}
orthrus=${ORTHRUS:-build/orthrus}
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
[ $# -gt 0 ] || set -- memcheck racecheck
status=0
for tool in "$@"; do
  echo "compute-sanitizer, $tool"
  options=(--tool "$tool" --error-exitcode 1)
  # Else it falls behind, and what it has yet to look at takes all memory.
  [ "$tool" != racecheck ] || options+=(--force-blocking-launches)
  "$sanitizer" "${options[@]}" "$check" tests/data models --few tied untied qwen2-Q4_K \
    qwen2-mixed || status=1
  for run in "tied 0.7" "untied 0"; do
    read -r model temperature <<< "$run"
    "$sanitizer" "${options[@]}" "$orthrus" generate --device cuda \
      -m "tests/data/golden/$model" --prompt-ids 1,2,3 -n 5 --mode dual --top-p 0.9 \
      --temperature "$temperature" --seed 1 || status=1
  done
done
exit $status
