#!/usr/bin/env bash
# Installs what the peers need beyond Go, where it is Debian that one stands on. What cannot be had is told, and left out
# of the comparison.
set -euo pipefail

declare -A packages=(
  [gcc]="gcc libc6-dev"
  [erl]=erlang-base
  [erlc]=erlang-base
  [parallel]=parallel
  [xargs]=findutils
  [taskset]=util-linux
  [/usr/bin/python3]=python3
  [npm]="nodejs npm"
)
wanted=()
for program in "${!packages[@]}"; do
  command -v "$program" >/dev/null || wanted+=(${packages[$program]})
done
if [ ${#wanted[@]} = 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "compare: not here, and no apt-get to install them with: ${wanted[*]}" >&2
  exit 0
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${wanted[@]}")
"${install[@]}" >&2 || { "${sudo[@]}" apt-get update >&2 && "${install[@]}" >&2; } || echo "compare: could not be installed: ${wanted[*]}" >&2
