#!/bin/sh
# Starts a server, and runs clients against it: run.sh [ARGUMENTS of `orthrus serve`]
# Without arguments with tiny-code; a model of one's own is asked to talk and to call tools, too.
# BUILD: the build folder; PYTHON: one that has what requirements.txt names.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
talks=--talks
if [ $# -eq 0 ]; then
  talks=
  set -- -m "$root/models/tiny-code" --chat-format qwen2.5
fi
orthrus=${BUILD:-$root/build}/orthrus
log=$(mktemp)
"$orthrus" serve "$@" --port 0 2>"$log" &
server=$!
trap 'kill $server 2>/dev/null || true; rm -f "$log"' EXIT
until url=$(grep -o 'http://[0-9.:]*' "$log"); do
  kill -0 $server || { cat "$log"; exit 1; }
  sleep 0.2
done
"${PYTHON:-python3}" - "$url/ready" <<'PYTHON'
import sys, time, urllib.error, urllib.request
while True:
    try:
        urllib.request.urlopen(sys.argv[1])
        break
    except urllib.error.HTTPError:  # it loads
        time.sleep(0.2)
PYTHON
"${PYTHON:-python3}" "$here/openai_client.py" "$url/v1" $talks || { tail -20 "$log"; exit 1; }
[ -n "$talks" ] || "${PYTHON:-python3}" "$here/hostile.py" "$url" \
  --orthrus "$orthrus" --model "$root/models/tiny-code"
kill $server
wait $server
