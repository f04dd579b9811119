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
build: ## static programs into bin/
	@scripts/need go
	mkdir -p bin
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/...

.PHONY: run
run: build ## start server and daemon, print a signed-in link and what to type next
	@scripts/run

.PHONY: test
test: ## every test that needs no machine of its own
	@scripts/need go git node cc
	CGO_ENABLED=1 go test -race -shuffle=on ./...

.PHONY: check
check: format-check lint tidy-check shell-check test ## format, lint, types, tests with the race detector, import arrows

.PHONY: e2e
e2e: build ## the whole path on a real machine: systemd, Podman, tailscaled, git (root on Debian)
	@scripts/need go git machine
	go test -count=1 -timeout 30m -tags e2e -v ./e2e/...

.PHONY: bench
bench: build ## side by side with setec and PocketBase, into docs/performance.md's figures
	cd bench && go run . -bin ../bin

.PHONY: lint
lint: $(LINT) ## golangci-lint over the whole module
	$(LINT) run ./...
	cd e2e/tailnet && $(LINT) run --config ../../.golangci.yml ./...
	cd bench && $(LINT) run --config ../.golangci.yml ./...

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
	cd bench && go mod tidy -diff

.PHONY: shell-check
shell-check:
	@scripts/need shellcheck
	shellcheck -x $$(git ls-files -z scripts e2e .ci | xargs -0 grep -lE '^#!/(usr/bin/env bash|bin/bash)')

.PHONY: fuzz
fuzz: ## every fuzz test for 20 seconds
	@scripts/fuzz 20s

.PHONY: vuln
vuln: ## known vulnerabilities of what we depend on (asks an online database)
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

$(LINT):
	@scripts/need go
	mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin/tmp-$(LINT_VERSION) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(CACHE)/bin/tmp-$(LINT_VERSION)/golangci-lint $@
