#!/usr/bin/env bash
# Compares the main figures of this checkout, as it stands, with those of a revision: both are built first, then each
# benchmark runs in turn here and there, so that what slows the machine slows both. benchstat tells what is no chance.
#
#   tools/bench-check.sh REV [COUNT]
set -euo pipefail
cd "$(dirname "$0")/.."
rev=${1-} count=${2-6}

wrong() {
  echo "bench-check: $*" >&2
  exit 2
}
[ -n "$rev" ] || wrong "which revision to compare with? make bench-check REV=v0.1"
git rev-parse --quiet --verify "$rev^{commit}" >/dev/null ||
  wrong "there is no revision $rev here$([ "$(git rev-parse --is-shallow-repository)" = false ] || echo ', and this clone has no history: git fetch --unshallow')"
[[ $count =~ ^[1-9][0-9]*$ ]] || wrong "COUNT=$count is no number of rounds; 6 and more let benchstat tell a difference from chance"
if git diff --quiet "$rev" -- '*.go' go.mod; then
  echo "bench-check: this checkout has the code of $rev: what follows is how much the machine varies" >&2
fi

# Where, and which; a package that the revision does not have yet is left out.
figures=(
  'bench Benchmark(Sync|Pipelined|Resolve)$/^(64B|1MiB|raw)$'
  'bench BenchmarkQueue$'
  'ipc Benchmark(EncodeRequest|DecodeAnswer|Scan)$/^64_B$'
  'master Benchmark(Send|SendSync|Pending|Entries)$'
  'executor/evalx BenchmarkExecute$/^(1\+2|lambda)$'
  'schedule BenchmarkMillion$/^batches$'
  'pool BenchmarkExec$'
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
[ ${#built[@]} -gt 0 ] || wrong "nothing to compare is left"

# measure BINARY PACKAGE PATTERN: one turn, in the package's own directory.
measure() {
  (cd "$2" && "$1" -test.run '^$' -test.bench "$3" -test.benchmem -test.benchtime 200ms) ||
    { echo "bench-check: a benchmark of $2 has failed" >&2 && exit 1; }
}
for ((i = 1; i <= count; i++)); do
  for figure in "${built[@]}"; do
    package=${figure%% *} pattern=${figure#* }
    name=${package//\//-}
    echo "bench-check: $i/$count $package" >&2
    measure "$dir/there-$name" "$dir/tree/$package" "$pattern" >>"$dir/there.txt"
    measure "$dir/here-$name" "$package" "$pattern" >>"$dir/here.txt"
  done
done
go tool -modfile=tools/go.mod benchstat "$rev=$dir/there.txt" "here=$dir/here.txt"
