# Everything a contributor runs. Needs only the Rust toolchain, python3 (>= 3.11 for the tests) with pip, gcc and make:
# the PostgreSQL servers are brought by scripts/postgres, the Python peers of the tests by the tests.

CARGO ?= cargo
# TPC-H scale factor of the demo.
SF ?= 0.1
# PostgreSQL major version of `test-pg`.
V ?= 18

.DEFAULT_GOAL := help
.PHONY: help build demo test test-pg test-peers lint fmt bench deny

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the release binary, target/release/pgflight
	$(CARGO) build --release --locked --bin pgflight

demo: build ## Start a Postgres and a server, load TPC-H over Flight, show what landed (SF=0.1, KEEP=1 to look around)
	./target/release/pgflight demo --scale-factor $(SF) $(if $(KEEP),--keep)

test: lint ## Everything: format, lints, unit, integration (all Postgres versions), doc tests
	$(CARGO) test --locked --no-fail-fast

test-pg: ## The integration tests against one PostgreSQL major version (V=16)
	PGFLIGHT_TEST_PG=$(V) $(CARGO) test --locked --test it

test-peers: ## The real CloudQuery CLI and plugins against pgflight (PGFLIGHT_CLOUDQUERY_PEERS=directory with the three programs)
	@test -n "$(PGFLIGHT_CLOUDQUERY_PEERS)" || { echo "NOT RUN: set PGFLIGHT_CLOUDQUERY_PEERS to a directory with cloudquery, cq-source-test and cq-destination-postgresql"; exit 1; }
	$(CARGO) test --locked --test it cloudquery::peers

lint: ## Format check and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## Format the code
	$(CARGO) fmt --all

bench: ## Measure; the numbers of one run are comparable with each other only
	$(CARGO) bench --locked

deny: ## Advisories, licences and sources of the dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check
