# Two targets for everyone: `make demo` and `make test`. The rest is for those who change the project.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/debug

.PHONY: help prerequisites web build demo test test-gpu bench bench-dashboard bench-gpu gpu-programs lint lint-gpu format docs licences sqlx cuda release

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

prerequisites: ## Name what is missing on this machine, before anything is built
	@deploy/prerequisites.sh

web/node_modules: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

WEB_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts -type f 2>/dev/null)
# lcctl embeds the files by name; touching the room that does so makes cargo look again.
web/dist/index.html: web/node_modules $(WEB_SOURCES)
	cd web && npm run build
	@touch orchestrator/src/http/assets.rs

web: web/dist/index.html ## Build the dashboard that lcctl embeds

build: prerequisites web ## Build lcctl and lc-worker
	cargo build --locked -p orchestrator -p worker

demo: build ## Build everything and run a small study, live, with results and a plot
	@$(BIN)/lcctl demo

test: build ## Run every test
	@deploy/run-tests.sh
	cd web && npm test
	@deploy/test-dashboard.sh $(BIN)

test-gpu: prerequisites ## Test the worker on a GPU, or on Mesa's software Vulkan (builds for minutes)
	@deploy/test-gpu.sh

lint-gpu: prerequisites ## Lints of the worker with its GPU kernels (checks all that they need, for minutes)
	cargo clippy --locked -p worker --all-targets --features cuda,vulkan -- -D warnings

lint: prerequisites web/node_modules ## Formatting and lints of Rust and web
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd web && npm run lint && npm run check

format: ## Format Rust and web
	cargo fmt --all
	cd web && npm run format

bench: prerequisites ## Race the worker against PyTorch on this machine; writes bench/cpu.md (half an hour, quiet machine)
	PYTHON=$$(deploy/python.sh) && "$$PYTHON" bench/cpu.py $(BENCH)

bench-dashboard: build ## Measure the dashboard with 10,000 runs; writes bench/dashboard.md (minutes, quiet machine)
	cargo build --locked -p orchestrator --example seed_record
	bench/dashboard.sh $(BIN) $(or $(MINUTES),5)

gpu-programs: prerequisites ## Gather in gpu-programs/ and gpu-programs.tar.xz what bench/gpu.py runs on a machine with a GPU
	deploy/gpu-programs.sh gpu-programs

bench-gpu: gpu-programs ## Check and measure the worker on this machine's GPU against PyTorch; writes bench/gpu.md (10 minutes)
	PYTHON=$$(deploy/python.sh) && "$$PYTHON" bench/gpu.py gpu-programs $(BENCH)

docs: ## Build the API documentation; broken links are errors
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links -A rustdoc::invalid-html-tags" cargo doc --locked --workspace --no-deps --document-private-items

licences: ## Check licences, bans and sources of all dependencies
	cargo deny --locked check licenses bans sources

sqlx: ## Renew the checked SQL (.sqlx) after a change of a query or a migration
	orchestrator/sqlx-prepare.sh

# Kept apart from target/debug/lc-worker, which the next `make build` replaces by one without CUDA.
cuda: prerequisites ## Build lc-worker with CUDA as target/cuda/lc-worker, stripped (needs no CUDA toolkit)
	cargo build --locked -p worker --features cuda
	@mkdir -p $(TARGET)/cuda
	strip -o $(TARGET)/cuda/lc-worker $(BIN)/lc-worker

release: prerequisites web ## Build lcctl, and lc-worker without CUDA, for a cluster in target/release: optimised, stripped
	cargo build --locked --release -p orchestrator -p worker
