#!/usr/bin/env bash
# Runs every libFuzzer target for a while: scripts/fuzz.sh [SECONDS], 60 each unless given.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

scripts/setup.sh clang-19 libclang-rt-19-dev libomp-19-dev
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
for target in safetensors config tokenizer; do
  corpus=build-fuzz/corpus-$target
  mkdir -p "$corpus"
  case $target in
    config) cp tests/data/golden/*/config.json "$corpus" 2>/dev/null || true ;;
  esac
  echo "fuzz: $target, $seconds seconds"
  build-fuzz/tests/fuzz/fuzz_$target -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 \
    -print_final_stats=1 -artifact_prefix=build-fuzz/ "$corpus" 2>&1 | tail -n 12
done
