# What CI runs is what you type. GNU Make 3.81 (macOS) is enough.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

BIN := .venv/bin
# Everything below runs in .venv, and nothing downloads an interpreter.
export VIRTUAL_ENV := $(CURDIR)/.venv
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export UV_PYTHON_DOWNLOADS := never

# KUBE=0 leaves out the tests that build and start a real kube-apiserver.
KUBE ?= 1
export VAI_KUBE := $(KUBE)
# More arguments for pytest: make test ARGS='-k restart -x'
ARGS ?=

SETUP := .venv/.stamp-setup
BUILT := .venv/.stamp-build
WHEEL := dist/.stamp-wheel
RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -type f ! -name '*.snap*')
PYTHON_SOURCES := README.md LICENSE LICENSE-THIRD-PARTY $(shell find python -type f ! -name '*.so' ! -name '*.pyc')
# A wheel that runs on any Linux since glibc 2.17 is linked by zig; elsewhere the system's linker does.
WHEEL_FLAGS := $(if $(filter Linux,$(shell uname -s)),--zig --compatibility manylinux2014)

# Run a command, show what it printed only if it fails.
quietly = log=$$($(1) 2>&1) || { printf '%s\n' "$$log"; exit 1; }

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(SETUP) ## make .venv with the development tools (hash-checked)
$(SETUP): scripts/setup.sh requirements/uv.txt requirements/dev.txt
	@scripts/setup.sh
	@rm -f .venv/.stamp-*
	@touch $@

.PHONY: build
build: $(BUILT)-dev-fast ## compile vai into .venv (optimised, rebuilt in seconds)
# One stamp per profile; building one replaces the other's extension module.
$(BUILT)-dev-fast $(BUILT)-release: $(BUILT)-%: $(SETUP) $(RUST_SOURCES)
	@echo "vai: building (profile $*; the first time takes two minutes or more)"
	@$(call quietly,$(BIN)/maturin develop --quiet --locked --profile $* --uv)
	@rm -f $(BUILT)-*
	@touch $@

.PHONY: wheel
wheel: $(WHEEL) ## build dist/*.whl (manylinux2014 on Linux) and the sdist
$(WHEEL): $(SETUP) $(RUST_SOURCES) $(PYTHON_SOURCES)
	@echo "vai: building the wheel and the sdist into dist/"
	@rm -rf dist
	@$(call quietly,$(BIN)/maturin build --quiet --release --locked $(WHEEL_FLAGS) --out dist)
	@$(call quietly,$(BIN)/maturin sdist --out dist)
	@touch $@

.PHONY: fmt
fmt: $(SETUP) ## format Rust and Python
	@cargo fmt --all
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

.PHONY: lint
lint: $(SETUP) ## formatting, clippy, ruff, mypy, layers, licenses
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	PYTHONPATH=python $(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_tree.py
	$(BIN)/python scripts/third_party.py --check
	@scripts/check_crates.sh

.PHONY: test
test: build ## all tests; KUBE=0 leaves out the real kube-apiserver
	cargo test --locked --quiet
	@scripts/kube_fixture.sh
	$(BIN)/pytest $(ARGS)

.PHONY: bench
bench: $(BUILT)-release ## pytest-benchmark against pure-Python baselines
	$(BIN)/pytest bench $(ARGS)

# How many pods the peers are compared with, and more arguments: make bench-peers SIZE=100000 ARGS='--labels unique'
SIZE ?= 10000

.PHONY: bench-peers
bench-peers: $(BUILT)-release ## side by side with Steve, client-go, kube-rs (needs Go); SIZE=100000
	$(BIN)/python -m bench.peers.run --pods $(SIZE) --data .cache/peers $(ARGS)

.PHONY: bench-sync
bench-sync: $(BUILT)-release ## first sync of whole clients from one kube-apiserver (needs Go); SIZE=50000
	$(BIN)/python -m bench.peers.sync --pods $(SIZE) $(ARGS)

.PHONY: bench-core
bench-core: $(BUILT)-release ## criterion on the Rust core alone; SIZE=100000, ARGS='facets'
	VAI_BENCH_DATA="$$($(BIN)/python -m bench.peers.data .cache/peers --pods $(SIZE))" \
	  cargo bench --quiet --locked -p vai-core --bench core -- $(ARGS)

.PHONY: bench-writing
bench-writing: $(BUILT)-release ## what loads and events take: threads, log, file, memory; SIZE=100000, ARGS='load 3'
	VAI_BENCH_DATA="$$($(BIN)/python -m bench.peers.data .cache/peers --pods $(SIZE))" \
	  cargo bench --quiet --locked -p vai-core --bench writing -- $(ARGS)

.PHONY: demo
demo: build ## watch vai do its main job against a simulated API server
	@$(BIN)/vai demo

.PHONY: requirements
requirements: $(SETUP) ## compile requirements/*.in again, to the newest versions
	@for set in uv dev lint; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --custom-compile-command 'make requirements' \
	    requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	done

.PHONY: licenses
licenses: $(SETUP) ## write LICENSE-THIRD-PARTY anew from Cargo.lock
	@$(BIN)/python scripts/third_party.py

.PHONY: clean
clean: ## remove .venv and everything built
	rm -rf .venv target dist python/vai/_core*.so
