# Everything here needs Go alone, and no network but a Go module proxy;
# test-postgres, a part of test-full, installs Debian's package too.
# Modules tied together by go.work; devserver and tools stand alone.
CONTRIB      := ./contrib/jsonschema ./contrib/structtags ./contrib/opentelemetry
WORK_MODULES := . ./samples ./bench ./conformance ./test $(CONTRIB)
ALONE        := devserver

GO ?= go

# A pipe fails with its first command.
SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -ec

.PHONY: help
help: ## Print this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: test
test: test-race test-modules test-parity test-devserver ## Every module's tests, with a real Temporal server inside

# The server is a child process, so the race detector costs it nothing.
.PHONY: test-race
test-race:
	$(GO) test -race -timeout 15m -parallel 4 ./...

.PHONY: test-modules
test-modules:
	$(GO) test -timeout 15m -parallel 16 ./samples/... ./bench/... ./conformance/internal/... ./test/fire/... ./test/internal/...
	$(GO) test -short ./test/mutation ./test/chaos
	$(GO) test ./test/stops
	$(GO) test -race -timeout 15m $(CONTRIB:%=%/...)

# The specification as tests; also fails where a row of docs/parity.md has none.
.PHONY: test-parity
test-parity:
	$(GO) run ./conformance/cmd/parity

.PHONY: parity
parity: ## Run the specification's tests and write docs/parity.md: rows proven / rows in all
	$(GO) run ./conformance/cmd/parity -write

# Importers do not see the replacements in contrib's go.mod: what it requires
# must be a commit or a tag of the root that is published, with all that it uses.
VERSION ?= $(shell TZ=UTC git show -s --abbrev=12 --date=format-local:%Y%m%d%H%M%S --format=v0.0.0-%cd-%h HEAD)
.PHONY: contrib-require
contrib-require: ## Let contrib require VERSION of the root (HEAD)
	for m in $(CONTRIB); do (cd $$m && $(GO) mod edit -require=github.com/concurry-go/concurry@$(VERSION)); done

.PHONY: test-devserver
test-devserver:
	cd devserver && GOWORK=off $(GO) test -timeout 15m -parallel 4 ./...

ROUNDS ?= 20
SEED   ?= 0
.PHONY: test-fire
test-fire: ## The whole crash table, ROUNDS (20) times from SEED (0 draws one), and the engine's known mutations
	$(GO) test ./test/fire -count=1 -v -timeout 80m -parallel 12 -fire.table -fire.rounds=$(ROUNDS) -fire.seed=$(SEED) | grep -vE '^(=== |    --- PASS)'
	$(GO) test ./test/mutation -count=1 -timeout 30m -parallel 4

STOPS ?= 24
.PHONY: test-stops
test-stops: ## Stops of loaded workers, STOPS (24) in each case, and what Temporal's own Stop loses beside them
	$(GO) test ./test/stops -count=1 -v -timeout 60m -stops=$(STOPS) | grep -E 'lost something|^(---|FAIL|ok)'

FOR ?= 120s
.PHONY: chaos
chaos: ## Random faults from SEED (0 draws one) FOR a time (120s), and what they broke
	$(GO) run ./test/chaos -seed $(SEED) -for $(FOR)

.PHONY: test-postgres
test-postgres: ## samples/dbpool on PostgreSQL, which it installs where there is none, and starts
	samples/dbpool/with-postgres $(GO) test ./samples/dbpool -run PostgreSQL -count=1 -v

.PHONY: test-full
test-full: test test-postgres test-fire test-stops fuzz bench-check ## What takes longer: make test, PostgreSQL, test-fire, test-stops, every fuzz target, the benchmarks' verdict

.PHONY: test-gowork-off
test-gowork-off: ## The root module as its importers see it, without go.work
	GOWORK=off $(GO) build ./...
	GOWORK=off $(GO) test -timeout 15m -parallel 4 ./...

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (20s)
	@set -e; for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
		dir=$$(dirname $$file); \
		for target in $$(grep -ohE '^func Fuzz[A-Za-z0-9_]+' $$file | sed 's/func //'); do \
			echo "$$dir $$target"; $(GO) test $$dir -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME); \
		done; \
	done

.PHONY: bench
bench: ## Print the benchmarks, beside the field's other libraries
	$(GO) run ./bench

.PHONY: bench-check
bench-check: ## Judge the benchmarks; fails where one falls short
	$(GO) run ./bench -check

TOOL = $(GO) tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: lint
lint: vet golangci workflowcheck ## go vet, golangci-lint and Temporal's workflowcheck

# What has changed since BASE, for vet; the pure packages, for tests.
BASE ?= HEAD
PURE := ./retrypolicy ./validation ./limits ./internal/wire ./internal/engine ./internal/failure
.PHONY: check
check: ## In seconds: format, build, vet what differs from BASE (HEAD), short tests of the pure packages
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not formatted: $$bad"; exit 1; }
	$(GO) build ./...
	@dirs=$$({ git diff --name-only --diff-filter=d $(BASE) -- '*.go'; git ls-files -o --exclude-standard -- '*.go'; } | \
		sed -E '/\/testdata\/|^devserver\//d' | xargs -r -n1 dirname | sort -u | sed 's|^|./|'); \
		[ -z "$$dirs" ] || { echo $(GO) vet $$dirs; $(GO) vet $$dirs; }
	$(GO) test -short $(PURE)

.PHONY: vet
vet:
	$(GO) vet $(WORK_MODULES:%=%/...)
	cd devserver && GOWORK=off $(GO) vet ./...

# 32 bits, and the other systems that developers have. go vet reads the tests
# too. The crash table is left out: it stops processes with signals of Unix.
CROSS         := linux/386 linux/arm windows/amd64 darwin/arm64
CROSS_MODULES := . $(CONTRIB) ./samples ./bench ./conformance
.PHONY: cross
cross: ## Build and vet all modules but test and devserver, tests included, for linux/386, linux/arm, windows/amd64 and darwin/arm64
	@for t in $(CROSS); do echo "$$t"; export CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/}; \
		$(GO) build $(CROSS_MODULES:%=%/...) && $(GO) vet $(CROSS_MODULES:%=%/...) || exit 1; done

.PHONY: golangci
golangci:
	@for m in $(WORK_MODULES); do echo "golangci-lint $$m"; (cd $$m && GOWORK=off $(TOOL) golangci-lint run -c $(CURDIR)/.golangci.yml ./...) || exit 1; done
	@for m in $(ALONE); do echo "golangci-lint $$m"; (cd $$m && GOWORK=off $(TOOL) golangci-lint run -c $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: workflowcheck
workflowcheck:
	GOWORK=off $(TOOL) workflowcheck ./...
	cd samples && GOWORK=off $(TOOL) workflowcheck ./...

.PHONY: api-diff
api-diff: ## How the API of the root module differs from that of the last tag
	@tools/api-diff

VERSION ?=
.PHONY: release-try release
release-try: ## Release VERSION in a clone, and get every module from it
	@tools/release -try $(VERSION)
release: ## Release VERSION: commit and tag all modules here, and print how to push
	@tools/release $(VERSION)

.PHONY: tidy
tidy: ## go mod tidy in every module
	@for m in $(WORK_MODULES) $(ALONE) tools; do (cd $$m && GOWORK=off $(GO) mod tidy) || exit 1; done
