#!/usr/bin/env bash
# Proves that the linter holds the arrows of DESIGN.md: in a copy of the checkout each room gets three imports that it
# may not have (a room or library out of its reach, os/exec, testing), and the linter must refuse every one of them.
# A room that is not in the table below fails, too: give it a depguard rule in .golangci.yml and a line here.
set -euo pipefail
cd "$(dirname "$0")/.."

# Chosen so that, all together, they make no import cycle.
declare -A wrong=(
  [ipc]=fandango/schedule
  [internal/proc]=fandango/schedule
  [internal/latency]=fandango/ipc
  [internal/proctest]=fandango/master
  [internal/runnertest]=fandango/pool
  [internal/evilworker]=fandango/master
  [schedule]=github.com/hashicorp/go-hclog
  [executor]=fandango/pool
  [executor/evalx]=fandango/master
  [pool]=fandango/schedule
  [master]=fandango/pool
  [periodic]=fandango/ipc
  [polled]=fandango/periodic
  [crontab]=fandango/pool
  [mainloop]=fandango/ipc
  [tasklet]=fandango/pool
  [cmd/master]=fandango/schedule
  [cmd/master/shell]=fandango/pool
  [cmd/master/load]=fandango/pool
  [cmd/worker]=fandango/pool
  [cmd/chaos]=fandango/pool
  [cmd/chaos/embedder]=fandango/schedule
  [examples]=fandango/schedule
)

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar --exclude=./.git -cf - . | tar -xf - -C "$copy"
cd "$copy"

expected=()
while read -r package name; do
  dir=${package#fandango/}
  room=${dir/#examples\/*/examples}
  if [[ -z ${wrong[$room]:-} ]]; then
    echo "arrows: $dir has no rule: add it to .golangci.yml and to tools/arrows.sh" >&2
    exit 1
  fi
  imports=("${wrong[$room]}" testing)
  # One room may start processes; chaos is the world around a master, examples and the test helper are no rooms of the house.
  case $room in internal/proc | cmd/chaos | cmd/chaos/embedder | examples) ;; *) imports+=(os/exec) ;; esac
  case $room in internal/proctest | internal/runnertest) imports=("${wrong[$room]}" os/exec) ;; esac
  {
    echo "package $name"
    printf 'import _ "%s"\n' "${imports[@]}"
  } >"$dir/wrong_import.go"
  for import in "${imports[@]}"; do expected+=("$dir/wrong_import.go|'$import' is not allowed"); done
done < <(go list -f '{{if .GoFiles}}{{.ImportPath}} {{.Name}}{{end}}' ./... | grep -v '^fandango/bench')

report=$(go tool -modfile=tools/go.mod golangci-lint run --allow-serial-runners --enable-only depguard ./... 2>&1) || true
for want in "${expected[@]}"; do
  if ! grep -F "${want%%|*}:" <<<"$report" | grep -qF "${want#*|}"; then
    printf '%s\n\narrows: not refused: %s in %s\n' "$report" "${want#*|}" "${want%%|*}" >&2
    exit 1
  fi
done
echo "arrows: ${#expected[@]} wrong imports in the rooms, each refused"
