#!/usr/bin/env bash
# Scripts that build say how they are called before they begin.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without setup.sh beside them they cannot get further.
mkdir "$work/scripts"
cp "$(dirname "$0")"/../../scripts/{demo,test}.sh "$work/scripts"

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
  expect 0 "usage: scripts/demo.sh" demo.sh $help
  expect 0 "usage: scripts/demo.sh" demo.sh --tiny $help
  expect 0 "usage: scripts/test.sh" test.sh $help
done
expect 2 "demo: tiny is not an option." demo.sh tiny
