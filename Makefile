# Everything a developer types. CI runs `make test`, `make versions` and `make check`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What `freshet version` says: the nearest tag and commit, where git knows.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := $(if $(VERSION),-ldflags '-X main.version=$(VERSION)')

# How long the demo runs.
DURATION ?= 60s
# How many reads soak checks, and the seed of its faults.
READS ?= 1000000
SEED ?= 1
# How many random schemas, scripts of sessions and changes of what tenants are shown soak
# compares with PostgreSQL, by the same seed: make test has the same ones each time, and few.
SCHEMAS ?= 60
SCRIPTS ?= 600
TENANT_STEPS ?= 400
# How many times as many clients as in make test ask at once, and drop their connections: 5 are
# five hundred.
CROWD ?= 5
# Not empty: soak hunts the product without one rule after the other instead, each
# for HUNT at most, and says which it did not meet by chance.
MUTANTS ?=
HUNT ?= 3m
# Not empty: soak looks for so long whether a sidecar grows instead, while clients come and go.
GROW ?=
# Which packages to test; and how many at once, as each may start servers. Those that
# take longest begin first: the last one to end shares the machine with nobody.
SLOW_PACKAGES := ./sidecar/wire ./loadtest/check ./invalidation ./sidecar/drivers ./sidecar/freshet ./cache ./invalidation/analysis ./sidecar/dashboard
CI_PACKAGES := ./.ci/imports ./.ci/docs ./.ci/elsewhere ./.ci/results
PACKAGES ?= $(SLOW_PACKAGES) ./... $(CI_PACKAGES)
TEST_PROCESSES ?= 2
# Neither vets, which `make check` does, nor links what debuggers read, symbols included: a third
# of the time that linking takes.
TEST_BUILD := -vet=off -ldflags=-s
# Nor does the compiler write that, a tenth of the time that it takes. What tests build and what
# checks compile is compiled in the same way, and so once for all.
FOR_NO_DEBUGGER := -gcflags=all=-dwarf=false
# Garbage is collected when there is four times as much as what lives, in place of as much:
# that spares tests under the race detector a fifth to a third of their processor time. Those
# with much that lives stay near the limit.
test versions: export GOGC ?= 400
test versions: export GOMEMLIMIT ?= 512MiB
# What compiles is spared a sixth by that, and does not heed the limit: to stay below it, it would
# do little else than collect garbage. The client of Redis would take more than twice as long.
COMPILED_FREELY := GOFLAGS="$$(go env GOFLAGS) $(FOR_NO_DEBUGGER) '-toolexec=env -u GOMEMLIMIT'"
# Who ends under the race detector waits a second for races of goroutines that are left; tests
# look for such goroutines instead, and a race that was met is written out before the end.
test versions: export GORACE ?= atexit_sleep_ms=0
# The longest one package's tests may take before they are taken to hang: the
# slowest needs eleven minutes beside two others on two processors, and more on slow ones.
TEST_TIMEOUT ?= 40m
# When all tests are to have ended, in seconds since 1970; empty: whenever they have. Results
# of earlier runs are not taken over then.
TEST_UNTIL ?=
# Throwaway servers live in memory where that has room: creating a database is
# creating 300 files. FRESHET_SERVERS_DIR= (empty) leaves them on the disk.
FRESHET_SERVERS_DIR ?= $(shell [[ -w /dev/shm ]] && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')
# Which major versions to test beside the one that is installed.
POSTGRES ?= 14 16 17 18
# Not empty: make versions only fetches and compiles what its tests need.
PREPARE ?=
# Which fuzz targets to run, and each for how long.
FUZZ ?= .
FUZZ_TIME ?= 20s
# Which comparisons with peers to make: ratio, latency, races; empty: all.
PEERS ?=
# Empty: measure Freshet beside its peers, in less than a quarter of an hour; long: more of
# it; otherwise which of Go's benchmarks to run, by their names, and each for how long.
BENCH ?=
BENCH_TIME ?= 1s
# Where the report of make bench goes.
BENCH_REPORT ?= dist/bench

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FOLDERS := cache sidecar invalidation loadtest .ci

.PHONY: help
help: ## Print this help
	@echo 'Freshet: a read-through cache for Postgres that never lies about freshness'
	@echo
	@while IFS= read -r line; do \
		if [[ $$line =~ ^([a-z]+):.*'## '(.*)$$ ]]; then \
			printf '  make %-8s %s\n' "$${BASH_REMATCH[1]}" "$${BASH_REMATCH[2]}"; \
		fi; \
	done < Makefile

# What every go command needs: Go itself, and certificates to download modules.
.PHONY: go
go:
	@.ci/install-packages go

# The library that draws the page's charts, as its lock file names it. A program that is
# built without `make` has a page that draws them itself.
CHARTS := sidecar/dashboard/charts
BUILT := sidecar/dashboard/page/built
.PHONY: page
page: $(BUILT)/uPlot.js ## Build the live page's charts into the programs built after this

$(BUILT)/uPlot.js: $(CHARTS)/package-lock.json
	@.ci/install-packages page
	cd $(CHARTS) && npm ci --no-audit --no-fund --ignore-scripts --prefer-offline
	cp $(CHARTS)/node_modules/uplot/dist/uPlot.min.css $(BUILT)/uPlot.css
	{ cat $(CHARTS)/node_modules/uplot/dist/uPlot.iife.min.js; echo 'export default uPlot;'; } > $@

.PHONY: build
build: go page ## Build bin/freshet and bin/loadtest
	go build $(LDFLAGS) -o bin/freshet ./sidecar/freshet
	go build -o bin/loadtest ./loadtest

.PHONY: demo
demo: ## Install what is missing, build, and show Freshet at work (DURATION=60s)
	@.ci/install-packages servers
	@if type -P npm >/dev/null; then $(MAKE) --no-print-directory page; fi
	go build -o bin/demo ./loadtest/demo
	bin/demo --duration $(DURATION)

.PHONY: soak
soak: ## Check promises under faults, hunt at random, ten minutes (READS=1000000, SEED=1, MUTANTS=1, GROW=1h)
	@.ci/install-packages servers
	@$(MAKE) --no-print-directory build
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' bin/loadtest $(if $(GROW),growth --duration $(GROW),$(if $(MUTANTS),mutants --hunt $(HUNT),check --reads $(READS))) --seed $(SEED)
ifeq ($(MUTANTS)$(GROW),)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -count=1 -timeout 1h -run '^TestDifferential' ./invalidation/analysis -differential-schemas $(SCHEMAS) -differential-seed $(SEED)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -count=1 -timeout 1h -run '^TestRandomSessions' ./sidecar/wire -random-scripts $(SCRIPTS) -random-seed $(SEED)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -count=1 -timeout 1h -run '^TestRandomTenants' ./sidecar/wire -tenant-steps $(TENANT_STEPS) -tenant-seed $(SEED)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -count=1 -timeout 1h -run '^(TestColdStampede|TestDroppedConnectionsLeaveNothingBehind|TestMalformedMessages)' ./sidecar/wire -crowd $(CROWD)
endif

# What of the tests is quick: what needs no PostgreSQL, one place where answers are
# compared with PostgreSQL's byte for byte, and every promise in the order of events
# that is hardest for it, through real sidecars. README.md names the tests.
QUICK_PACKAGES := ./cache/... ./sidecar/dashboard ./loadtest/mutant ./loadtest/demo/view ./.ci/imports ./.ci/docs
QUICK_TESTS := TestSidecarAnswersAsPostgresDoes|TestScriptsFindNothingWrongWithTheProduct

.PHONY: quick
quick: ## Run the tests that answer in a minute, without the race detector
	@.ci/install-packages servers
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -skip '^TestBrowser' $(QUICK_PACKAGES)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -run '^($(QUICK_TESTS))$$' ./sidecar/wire ./loadtest/check

.PHONY: test
test: ## Install what is missing and run every test with the race detector (PACKAGES=./...)
	@.ci/install-packages tests
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' CGO_ENABLED=1 $(COMPILED_FREELY) go test -json -race $(TEST_BUILD) -p $(TEST_PROCESSES) -timeout $(TEST_TIMEOUT) \
		$(if $(TEST_UNTIL),-exec '$(CURDIR)/.ci/until $(TEST_UNTIL)') $(PACKAGES) -args -test.v=false | $(COMPILED_FREELY) go run ./.ci/results

.PHONY: versions
versions: ## Test the analysis on other versions of PostgreSQL (POSTGRES='14 16 17 18')
	@.ci/install-packages tests
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' $(COMPILED_FREELY) .ci/postgres-versions $(if $(PREPARE),prepare) $(POSTGRES)

.PHONY: check
check: go format vet lint imports docs rules ## Check format, vet, lint, import directions and what the docs name

# One layout for all, so that no change is about layout.
.PHONY: format
format:
	@unformatted=$$(gofmt -l $(FOLDERS)); \
	if [[ -n $$unformatted ]]; then \
		printf 'not formatted; run gofmt -w on:\n%s\n' "$$unformatted" >&2; exit 1; \
	fi

# Each alert in docs fires when it should, and none when all is well. promtool comes with
# Prometheus.
.PHONY: alerts
alerts: ## Check the alerts in docs/alerts.yaml with promtool
	@.ci/install-packages alerts
	@$(MAKE) --no-print-directory rules

# The same, where promtool is installed already.
.PHONY: rules
rules:
	@if type -P promtool >/dev/null; then \
		promtool check rules docs/alerts.yaml && promtool test rules docs/alerts_test.yaml; \
	else echo 'not checked, as promtool is not here (make alerts): docs/alerts.yaml'; fi

# Checks read what libraries and packages compile to. Compiled as for the tests, where there is
# the C compiler that the race detector needs, it is compiled once for both.
AS_TESTED := $(if $(shell type -P gcc),-race)
vet lint imports docs: export GOFLAGS = $(strip $(shell go env GOFLAGS) $(FOR_NO_DEBUGGER))

# vet finds what compiles and is wrong: copied locks, lost cancels, bad printf. The last command
# is for macOS, where nobody's tests run before a user's, and for modules whose libraries are
# compiled for nothing else here: make peers and make release vet these.
.PHONY: vet
vet: export GOGC ?= 400
vet:
	go vet $(AS_TESTED) ./... $(CI_PACKAGES)
	cd sidecar/drivers/testdata/go && go vet ./...
	go run ./.ci/elsewhere darwin . loadtest/peers .ci/packages

# staticcheck, its default checks and
#   ST1000  every package says its one job in a comment
#   ST1016  a receiver has one name, so that methods read alike
# It runs at a fixed version from outside go.mod: a linter is no dependency.
# With garbage collected at four times what lives, it takes two thirds of the processor time.
.PHONY: lint
lint: export GOGC ?= 400
lint:
	go run -exec 'env "GOFLAGS=$(GOFLAGS) $(AS_TESTED)"' $(STATICCHECK) -checks inherit,ST1000,ST1016 ./... $(CI_PACKAGES)

# The arrows of the architecture: who may import whom, and which technology
# stands in which package.
.PHONY: imports
imports:
	go run ./.ci/imports

# The tests and files that the documents name must be there: a claim whose test is
# gone is no claim any more.
.PHONY: docs
docs:
	go run ./.ci/docs

.PHONY: fuzz
fuzz: ## Feed random bytes to every parser (FUZZ=regexp, FUZZ_TIME=20s)
	@.ci/install-packages go
	@grep -rnoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9]*)' cache sidecar invalidation loadtest | sort | \
	while IFS=: read -r file _ target; do \
		target="$${target#func }"; [[ $$target =~ $(FUZZ) ]] || continue; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) "./$$(dirname "$$file")"; \
	done

.PHONY: peers
peers: ## Compare with other caches for Go: hit ratios, latencies, races (PEERS='ratio latency races')
	@.ci/install-packages servers
	cd loadtest/peers && go vet ./... && FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go run . $(PEERS)

.PHONY: bench
bench: ## Measure it beside its peers (BENCH=long, or BENCH=regexp BENCH_TIME=1s: Go's benchmarks)
	@.ci/install-packages bench
ifneq ($(filter-out long,$(BENCH)),)
	@packages=$$(grep -rl --include='*_test.go' '^func Benchmark' cache sidecar invalidation loadtest | sed 's|^|./|; s|/[^/]*$$||' | sort -u || true); \
	if [[ -z $$packages ]]; then echo 'there are no benchmarks'; exit 0; fi; \
	set -x; FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCH_TIME) -benchmem -p 1 $$packages
else
	@$(MAKE) --no-print-directory build
	@mkdir -p $(BENCH_REPORT)
	FRESHET_SERVERS_DIR='$(FRESHET_SERVERS_DIR)' bin/loadtest bench $(if $(BENCH),--long) \
		--json $(BENCH_REPORT)/report.json --html $(BENCH_REPORT)/report.html --markdown $(BENCH_REPORT)/report.md
endif

.PHONY: release
release: go ## Make binaries, packages, images, chart and checksums in dist/
	.ci/release
	cd .ci/packages && go vet ./... && go test ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
