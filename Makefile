# For developers. The two commands of the README need no make: go run ./cmd/master run …, go test ./...

GO       ?= go
LINT     := $(GO) tool -modfile=tools/go.mod golangci-lint
FUZZTIME ?= 60s
COUNT    ?= 6
DURATION ?= 1h
ROUNDS   ?= 5
REV      ?= HEAD~1

.DEFAULT_GOAL := help
.PHONY: help run test check lint format arrows vet race once chaos soak bench bench-check compare fuzz gui-check

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## run the README's batch on testdata
	@awk '/^\$$ go run/ { on = 1; sub(/^\$$ /, "") } on && /^master:/ { exit } on' README.md | bash

test: ## run the tests
	$(GO) test ./...

check: lint arrows vet race once chaos ## all that a commit must pass: format, lint, arrows, vet, tests with -race, benchmarks once, a minute of chaos

lint: ## lint, the format included (the first build of the linter takes four minutes)
	$(LINT) run --allow-serial-runners ./...

format: ## rewrite the Go files as the linter wants them
	$(LINT) fmt ./...

arrows: ## prove that the linter refuses imports against the arrows of DESIGN.md
	tools/arrows.sh

vet: ## vet as on the systems that the tests do not run on
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

race: ## run the tests with the race detector, in random order
	$(GO) test -race -shuffle=on ./...

once: ## run each benchmark once, to see that it works
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...

chaos: ## a minute of faults against the real master, and what became of each task
	$(GO) run ./cmd/chaos -duration 40s
	$(GO) run ./cmd/chaos -duration 20s -mode cancels

soak: ## chaos for DURATION, with and without retries, and masters that are killed (DURATION=1h)
	$(GO) run ./cmd/chaos -duration $(DURATION)
	$(GO) run ./cmd/chaos -duration $(DURATION) -retries 2 -workers 8 -rate 30
	$(GO) run ./cmd/chaos -duration $(DURATION) -mode cancels -workers 8 -rate 30
	$(GO) run ./cmd/chaos -mode orphans -n 50

bench: ## run the benchmarks COUNT times and sum them up (COUNT=6)
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./... | tee bench.out
	$(GO) tool -modfile=tools/go.mod benchstat bench.out

bench-check: ## the main figures here beside those of revision REV, in turn, COUNT times (REV=HEAD~1)
	tools/bench-check.sh $(REV) $(COUNT)

compare: ## fandango beside its peers and two raw pipes, in turn (ROUNDS=5; QUICK=1; ONLY=sync; DOC=docs/performance.md: renew its table)
	bench/peers/install.sh
	$(GO) run ./bench/compare $(if $(QUICK),-rounds 1 -each 100ms,-rounds $(ROUNDS)) $(if $(ONLY),-only '$(ONLY)') $(if $(DOC),-doc $(DOC))

fuzz: ## fuzz each target for FUZZTIME (FUZZTIME=60s)
	tools/fuzz.sh $(FUZZTIME)

gui-check: ## run examples/gui on a display in memory, and keep a picture of it (installs what it needs; not part of CI)
	tools/gui-check.sh
