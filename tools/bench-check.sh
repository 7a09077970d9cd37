#!/usr/bin/env bash
# Compares the main figures of this checkout, as it stands, with those of a revision: both are built first, then each
# benchmark runs in turn here and there, so that what slows the machine slows both. benchstat tells what is no chance.
#
#   tools/bench-check.sh REV [COUNT]
set -euo pipefail
cd "$(dirname "$0")/.."
rev=${1:?the revision to compare with} count=${2:-6}

# Where, and which; a package that the revision does not have yet is left out.
figures=(
  'bench Benchmark(Sync|Pipelined|Queue|Resolve)$/^(64B|1MiB|raw)$'
  'ipc Benchmark(EncodeRequest|DecodeAnswer|Scan)$/^64_B$'
  'master Benchmark(Send|SendSync|Pending|Entries)$'
  'executor/evalx BenchmarkExecute$/^(1\+2|lambda)$'
  'schedule BenchmarkLoop'
  'cmd/worker BenchmarkStart$/^worker$'
)

dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree" 2>/dev/null || true; rm -rf "$dir"' EXIT
git worktree add --quiet --detach "$dir/tree" "$rev"

built=()
for figure in "${figures[@]}"; do
  package=${figure%% *} name=${figure%% *}
  name=${name//\//-}
  if go test -c -o "$dir/here-$name" "./$package" && (cd "$dir/tree" && go test -c -o "$dir/there-$name" "./$package") &&
    [ -e "$dir/here-$name" ] && [ -e "$dir/there-$name" ]; then
    built+=("$figure")
  else
    echo "bench-check: $package is left out: it does not build here, or not in $rev" >&2
  fi
done
for ((i = 1; i <= count; i++)); do
  for figure in "${built[@]}"; do
    package=${figure%% *} pattern=${figure#* }
    name=${package//\//-}
    echo "bench-check: $i/$count $package" >&2
    (cd "$dir/tree/$package" && "$dir/there-$name" -test.run '^$' -test.bench "$pattern" -test.benchmem -test.benchtime 200ms) >>"$dir/there.txt"
    (cd "$package" && "$dir/here-$name" -test.run '^$' -test.bench "$pattern" -test.benchmem -test.benchtime 200ms) >>"$dir/here.txt"
  done
done
go tool -modfile=tools/go.mod benchstat "$rev=$dir/there.txt" "here=$dir/here.txt"
