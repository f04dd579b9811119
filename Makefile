# Leger. Two commands to begin with: `make run` and `make test`.
#
# What Go modules cannot bring is listed in scripts/need, which installs it where
# it may (root on Debian) and otherwise says exactly what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION  := 0.1.0
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/leger-dev
LINT_VERSION := v2.15.0
LINT     := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)
# Tools built from source with checked sums; none is fetched as a binary.
export CGO_ENABLED ?= 0
GOFLAGS_BUILD := -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: web/dist/index.html ## static programs into bin/, with the web app inside
	@scripts/need go
	mkdir -p bin
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/...

# What the web app is built from; its build is embedded and not in the repository.
WEB := web/package.json web/package-lock.json web/index.html web/vite.config.ts web/tsconfig.json \
	$(shell find web/src web/public web/scripts -type f)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@scripts/need node
# Not npm ci: it refuses a lock file without the binaries of other platforms. This
# takes the locked versions, too, checks their sums, and leaves the lock file alone.
	cd web && npm install --no-save --no-progress --loglevel=error
	@touch $@

web/dist/index.html: $(WEB) web/node_modules/.package-lock.json
	cd web && npm run --silent build

.PHONY: run
run: build ## start server and daemon, print a signed-in link and what to type next
	@scripts/run

worker/node_modules/.package-lock.json: worker/package.json worker/package-lock.json
	@scripts/need node
	cd worker && npm install --no-save --no-progress --loglevel=error
	@touch $@

.PHONY: worker
worker: web/dist/index.html worker/node_modules/.package-lock.json ## the Worker for Cloudflare, into worker/build/
	@scripts/need go
	scripts/worker-build

.PHONY: worker-dev
worker-dev: worker build ## run the Worker locally, without an account, and print how to sign in
	@scripts/worker-dev

.PHONY: worker-deploy
worker-deploy: worker ## migrate the database and deploy the Worker to your Cloudflare account
	@scripts/worker-deploy

# Built once for all tests that run the Worker.
.PHONY: worker-test-build
worker-test-build: web/dist/index.html worker/node_modules/.package-lock.json
	@scripts/need go
	scripts/worker-build --test

.PHONY: worker-test
worker-test: worker-test-build ## stores and API scripts in workerd, native and Worker compared, load, trouble
	go test -count=1 -timeout 45m -tags e2e ./internal/cloudflare/... ./e2e/workerd/... ./e2e/worker/...

.PHONY: test
test: go-test web-test ## every test that needs no machine of its own

.PHONY: go-test
go-test: web/dist/index.html
	@scripts/need go git curl node cc systemd
# More at once than cores: many tests wait for git, for disks and for units to settle.
	CGO_ENABLED=1 go test -race -shuffle=on -parallel 4 -timeout 20m ./...

.PHONY: web-test
web-test: build ## the web app in Chromium, against the real server
	@scripts/need chromium
	cd web && npm run --silent e2e

.PHONY: web-check
web-check: web/node_modules/.package-lock.json ## format, types, unused code, stale API types, unit tests of the web app
	cd web && npm run --silent check

.PHONY: screenshots
screenshots: build ## every page and state, in both themes and three widths, into web/screenshots/
	@scripts/need chromium
	cd web && npm run --silent screenshots

.PHONY: lighthouse
lighthouse: build ## Lighthouse over every page, desktop and mobile; wants a machine with nothing else to do
	@scripts/need chromium
	cd web && npm run --silent lighthouse

.PHONY: check
check: format-check lint tidy-check shell-check web-check test ## format, lint, types, tests with the race detector, import arrows

.PHONY: e2e
e2e: build worker ## the whole path on a real machine: systemd, Podman, tailscaled, git (root on Debian)
	@scripts/need go git node chromium machine
	go test -count=1 -timeout 45m -tags e2e -v $$(go list -tags e2e ./e2e/... | grep -v -e /e2e/worker)

# GRAPHS=1-500 MACHINES=2; what is in GRAPHS_LOG has passed and is not run again.
GRAPHS ?= 1-500
MACHINES ?= 2
GRAPHS_LOG ?= $(CACHE)/graphs-passed

.PHONY: graphs
graphs: ## random graphs of units on real machines, through installs, failures, rollbacks and reboots
	@scripts/need go machine
	LEGER_GRAPHS=$(GRAPHS) LEGER_GRAPHS_MACHINES=$(MACHINES) LEGER_GRAPHS_LOG=$(GRAPHS_LOG) \
		go test -count=1 -timeout 6h -parallel $$(($(MACHINES) + 1)) -tags e2e -v -run '^TestGraphs$$' ./e2e

.PHONY: bench
bench: build ## side by side with setec and PocketBase, into docs/performance.md's figures
	go run ./bench

.PHONY: bench-worker
bench-worker: ## the Worker beside the specification's in TypeScript; needs the built Worker
	go run ./e2e/workerbench

.PHONY: lint
lint: $(LINT) ## golangci-lint over the whole module
	$(LINT) run ./...
	GOOS=js GOARCH=wasm $(LINT) run --tests=false ./cmd/leger-worker/... ./internal/cloudflare/...
	GOOS=js GOARCH=wasm $(LINT) run --tests=false --build-tags workertest ./cmd/leger-worker/...
	cd e2e/tailnet && $(LINT) run --config ../../.golangci.yml ./...
	cd bench/peer && $(LINT) run --config ../../.golangci.yml ./...

.PHONY: format
format: $(LINT) ## rewrite the code as gofumpt and goimports like it
	$(LINT) fmt ./...

.PHONY: format-check
format-check: $(LINT)
	@$(LINT) fmt --diff ./...

.PHONY: tidy-check
tidy-check:
	go mod tidy -diff
	cd e2e/tailnet && go mod tidy -diff
	cd e2e/tailnet/v1.92 && go mod tidy -diff
	cd bench/peer && go mod tidy -diff

.PHONY: shell-check
shell-check:
	@scripts/need shellcheck
	shellcheck -x $$(git ls-files -z scripts e2e .ci | xargs -0 grep -lE '^#!/(usr/bin/env bash|bin/bash)')

.PHONY: fuzz
fuzz: ## every fuzz test for 20 seconds
	@scripts/fuzz 20s

# FLIPS=20000 tries that many.
FLIPS ?= 4000

.PHONY: flips
flips: ## single flipped bytes of the database: no answer lacks a secret
	@scripts/need go
	LEGER_FLIPS=$(FLIPS) go test -count=1 -timeout 6h -v -run '^TestDamagedDatabaseLacksNoSecret$$' ./internal/httpapi

# Each of the eleven tests kills that often.
KILLS ?= 100

.PHONY: kills
kills: web/dist/index.html ## 1,100 kills -9 of server, rekey, migration, backup, restore and legerd: the old state or the new
	@scripts/need go
	LEGER_KILLS=$(KILLS) go test -count=1 -timeout 3h -v -run 'Killed|SurviveKill|SurvivesKill' \
		./cmd/leger-server ./internal/sqlite ./internal/localvault

.PHONY: rekey
rekey: web/dist/index.html ## 100,000 records sealed anew while serving, killed five times
	@scripts/need go
	LEGER_REKEY_RECORDS=100000 go test -count=1 -timeout 2h -v -run '^TestKilledRekeyConverges$$' ./cmd/leger-server

.PHONY: litestream
litestream: web/dist/index.html ## Litestream beside the server: killed under writes, restored, what it costs
	@scripts/need go
	cd e2e/litestream && go mod tidy -diff
	LEGER_KILLS=$(KILLS) go test -count=1 -timeout 2h -tags e2e -v -run '^TestLitestream' ./cmd/leger-server

# SOAK=2m is shorter; the last part of it against the first.
SOAK ?= 30m

.PHONY: soak
soak: web/dist/index.html ## 200 clients, slow and aborted ones among them: memory, descriptors, goroutines, latency stay
	@scripts/need go
	LEGER_SOAK=$(SOAK) go test -count=1 -timeout 12h -v -run '^TestSoak$$' ./cmd/leger-server

# FUZZ_FOR=30m FUZZ_SEED=1; a seed gives the same quadlets again.
FUZZ_FOR ?= 30m
FUZZ_SEED ?= $(shell date +%s)

.PHONY: fuzz-generator
fuzz-generator: ## composed quadlets: what Podman's generator makes of them against what is reported
	@scripts/need go machine
	LEGER_FUZZ_FOR=$(FUZZ_FOR) LEGER_FUZZ_SEED=$(FUZZ_SEED) \
		go test -count=1 -timeout 6h -tags e2e -v -run '^TestRealParts$$/^quadlet$$' ./e2e

.PHONY: vuln
vuln: ## known vulnerabilities of what we depend on (asks an online database)
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

$(LINT):
	@scripts/need go
	mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin/tmp-$(LINT_VERSION) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(CACHE)/bin/tmp-$(LINT_VERSION)/golangci-lint $@
