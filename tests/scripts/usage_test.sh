#!/usr/bin/env bash
# Scripts say how they are called before they begin.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without setup.sh beside them they cannot get further.
mkdir "$work/scripts"
cp "$(dirname "$0")"/../../scripts/*.sh "$work/scripts"

expect() {  # CODE TEXT SCRIPT ARGUMENT...: its exit code, and how what it says begins
  local code=$1 text=$2 said rc=0
  shift 2
  said=$("$work/scripts/$1" "${@:2}" 2>&1) || rc=$?
  if [ "$rc" -ne "$code" ] || [[ "$said" != "$text"* ]]; then
    echo "$*: exit code $rc, not $code, or it does not begin with '$text': $said" >&2
    exit 1
  fi
}

for help in -h --help; do
  expect 0 "usage: scripts/setup.sh" setup.sh $help
done
expect 2 "setup: --all is not an option." setup.sh --all
expect 2 "setup: --all is not an option." setup.sh cmake --all
rm "$work/scripts/setup.sh"

for help in -h --help; do
  for script in "$work"/scripts/*.sh; do
    name=$(basename "$script")
    expect 0 "usage: scripts/$name" "$name" $help
  done
  expect 0 "usage: scripts/demo.sh" demo.sh --tiny $help
done
expect 2 "demo: tiny is not an option." demo.sh tiny
expect 2 "format: -x is not an option." format.sh -x
expect 2 "format: --check src is not an option." format.sh --check src
expect 2 "fuzz: 1 2 is no number of seconds." fuzz.sh 1 2
expect 2 "fuzz: 1m is no number of seconds." fuzz.sh 1m
expect 2 "sanitize-cuda: leaks is not a tool." sanitize-cuda.sh memcheck leaks
