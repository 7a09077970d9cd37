#!/usr/bin/env bash
# Runs examples/gui on a display in memory: it must show each key ten times and a batch to its end, all of it on the
# goroutine of the toolkit. A picture of the window is kept in build/. Installs what Fyne needs beyond Go.
# CI does not run it: the first build of Fyne takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(xvfb xauth imagemagick gcc pkg-config libgl1-mesa-dev libgl1-mesa-dri xorg-dev)
install() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  local get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}")
  "${get[@]}" || { "${sudo[@]}" apt-get update && "${get[@]}"; }
}
dpkg -s "${packages[@]}" >/dev/null 2>&1 || install

mkdir -p build
(cd examples/gui && go vet . && go build -o ../../build/gui .)

export LIBGL_ALWAYS_SOFTWARE=1
picture=build/gui.png
# shellcheck disable=SC2016 # the inner bash expands it
timeout 120 xvfb-run -a -s '-screen 0 640x480x24' bash -c '
  coproc window { exec env -u LC_ALL LANG=en_US.UTF-8 build/gui -check 10; }
  pid=$window_PID
  read -r line <&"${window[0]}" && [ "$line" = shown ]
  import -window root "$1"
  echo >&"${window[1]}"
  wait "$pid"
' gui-check "$picture"

colours=$(identify -format %k "$picture")
if [ "$colours" -lt 20 ]; then
  echo "gui-check: $picture has only $colours colours: the window is empty" >&2
  exit 1
fi
echo "gui-check: each key was shown ten times and the batch ended, all on the toolkit's goroutine; see $picture"
