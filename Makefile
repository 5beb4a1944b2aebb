# What a newcomer runs. `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench-path bench-harm bench-gate tools

CARGO ?= cargo
DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=

# Where scripts/tools.sh leaves what it found; a server named by the caller wins.
TOOLS := $(CURDIR)/.tools
SLACKTIDE_NATS_SERVER ?= $(TOOLS)/bin/nats-server
SLACKTIDE_PG_BIN ?= $(TOOLS)/pg/bin
export SLACKTIDE_NATS_SERVER SLACKTIDE_PG_BIN

# Tests of real processes wait most of their time: on a small machine more of them run at once than it has cores.
RUST_TEST_THREADS ?= $(shell cores=$$(nproc 2>/dev/null || echo 4); [ $$cores -gt 8 ] && echo $$cores || echo 8)
export RUST_TEST_THREADS

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: tools ## a core under load, the exchange and the store, in about a minute; DEMO_ARGS='--json'
	$(CARGO) build --release --locked --package slacktide
	$(CARGO) run --quiet --release --locked --package slacktide -- demo $(DEMO_ARGS)

test: tools ## every test, against real servers that it starts and ends; TEST_ARGS='name'
	@CARGO='$(CARGO)' scripts/test.sh $(TEST_ARGS)

lint: ## format, clippy and the code's own pages with warnings denied; licences, sources and advisories of the dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps --locked --quiet
	@scripts/tools.sh lint
	$(TOOLS)/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	scripts/advisories.sh $(TOOLS)/bin/cargo-deny

bench-path: tools ## rows a second over the whole path and for each stage alone
	$(CARGO) run --release --locked --package bench --bin path -- $(BENCH_ARGS)

bench-harm: tools ## what an extraction costs the business beside it; BENCH_ARGS=--full for an hour
	$(CARGO) run --release --locked --package bench --bin harm -- $(BENCH_ARGS)

bench-gate: ## steps of the gate's law a second
	$(CARGO) run --release --locked --package gate --example steps

tools: ## find nats-server and PostgreSQL, or install pinned copies into .tools
	@scripts/tools.sh
