#!/usr/bin/env bash
# Installs what builds need: scripts/setup.sh --help
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [PACKAGE]...

Installs the Debian packages that are missing, of those named and those every build needs. Uses sudo
only when not root; does nothing, and needs no network, when all are there.
EOF
}

for package in "$@"; do
  case $package in
    -h | --help) usage && exit ;;
    -*) echo "setup: $package is not an option. See scripts/setup.sh --help." >&2 && exit 2 ;;
  esac
done

packages=(g++ make cmake ninja-build pkg-config nlohmann-json3-dev libcli11-dev libfmt-dev libpcre2-dev
          libutf8proc-dev libhwy-dev libedit-dev libboost-dev prometheus-cpp-dev "$@")

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "setup: these Debian packages are missing, and there is no sudo: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
