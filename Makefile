# Targets for development. `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test test-alerts test-api test-cluster test-compose test-console test-kills test-nemesis lint bench-path bench-peers bench-gateway bench-harm bench-gate bench-audit tools

CARGO ?= cargo
DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=
ROWS ?= 300000
KILLS ?= 40
SEED ?=
FAULTS ?= 60

# Where scripts/tools.sh leaves what it found; a server named by the caller wins.
TOOLS := $(CURDIR)/.tools
SLACKTIDE_NATS_SERVER ?= $(TOOLS)/bin/nats-server
SLACKTIDE_PG_BIN ?= $(TOOLS)/pg/bin
export SLACKTIDE_NATS_SERVER SLACKTIDE_PG_BIN

# Tests of real processes wait most of their time: on a small machine more of them run at once than it has cores.
RUST_TEST_THREADS ?= $(shell cores=$$(nproc 2>/dev/null || echo 4); [ $$cores -gt 8 ] && echo $$cores || echo 8)
export RUST_TEST_THREADS

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

# The program that the tests use, so it is compiled once for both. A release takes twice as long to compile and shows the same.
demo: tools ## Run core, exchange and store under load, for about a minute; DEMO_ARGS='--json'
	$(CARGO) build --workspace --locked --bin slacktide
	"$${CARGO_TARGET_DIR:-target}/debug/slacktide" demo $(DEMO_ARGS)

test: tools ## Run every test against real servers that it starts and stops; TEST_ARGS='name'
	@CARGO='$(CARGO)' scripts/test.sh $(TEST_ARGS)

test-alerts: ## Test that each alert rule fires and clears; needs promtool
	@scripts/test-alerts.sh

test-api: tools ## Run schemathesis against a real gateway, with and without credentials
	@CARGO='$(CARGO)' scripts/test-schemathesis.sh $(TEST_ARGS)

test-console: tools ## Test the console in a browser; needs chromium
	@CARGO='$(CARGO)' scripts/test-console.sh $(TEST_ARGS)

test-kills: tools ## Kill gateway, agents and nats-server at random over many rows; ROWS=300000 KILLS=40
	@CARGO='$(CARGO)' scripts/test-kills.sh '$(ROWS)' '$(KILLS)'

test-nemesis: tools ## Inject random faults of every kind, follow what is shown, compare; FAULTS=60 SEED=random
	@CARGO='$(CARGO)' scripts/test-nemesis.sh '$(FAULTS)' '$(SEED)'

test-cluster: tools ## Kill, freeze, cut off and restart the servers of a cluster, with feeds and requests
	@CARGO='$(CARGO)' scripts/test-cluster.sh $(TEST_ARGS)

test-compose: tools ## Run compose.yml on a Docker engine, use it, kill and restart its services, and remove it again
	@CARGO='$(CARGO)' scripts/test-compose.sh $(TEST_ARGS)

lint: ## Check words, spelling, format, clippy, rustdoc; licences, sources and advisories of the dependencies
	@scripts/tools.sh lint
	scripts/words.sh
	$(TOOLS)/bin/typos
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps --locked --quiet
	$(TOOLS)/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	scripts/advisories.sh $(TOOLS)/bin/cargo-deny

bench-path: tools ## Measure rows per second of the whole path and of each stage
	$(CARGO) run --release --locked --package bench --bin path -- $(BENCH_ARGS)

bench-gateway: tools ## Measure polls and writes over the HTTP gateway for a minute, with its memory
	$(CARGO) run --release --locked --package bench --bin bench-gateway -- $(BENCH_ARGS)

bench-peers: tools ## Measure the path next to psql COPY and logical replication; BENCH_ARGS='--rows=300000 --rounds=3' is quick
	$(CARGO) run --release --locked --package bench --bin peers -- $(BENCH_ARGS)

bench-harm: tools ## Measure how an extraction affects the business on the core; BENCH_ARGS=--full for an hour
	$(CARGO) run --release --locked --package bench --bin harm -- $(BENCH_ARGS)

bench-gate: ## Measure steps of the gate's decision per second
	$(CARGO) run --release --locked --package gate --example steps

bench-audit: ## Measure rows per second of a verification on one core; BENCH_ARGS='--rows 1000000'
	$(CARGO) run --release --locked --package bench --bin bench-audit -- $(BENCH_ARGS)

tools: ## Find nats-server and PostgreSQL, or install pinned copies into .tools
	@scripts/tools.sh
