# Everything a contributor runs. Needs only the Rust toolchain, python3 (>= 3.11 for the tests) with pip, gcc and make:
# the PostgreSQL servers are brought by scripts/postgres, the Python peers of the tests by the tests. With Go >= 1.26.5 the
# real CloudQuery CLI is built and tested against as well, with Node.js >= 20 a source in JavaScript, with Java and Maven the JDBC driver,
# with the apt of Debian 12 a PgBouncer, contrib extensions and PostGIS.

CARGO ?= cargo
# TPC-H scale factor of the demo.
SF ?= 0.1
# Set to anything, the demo stays up to look around.
KEEP ?=
KEPT = $(if $(KEEP),--keep)
# PostgreSQL major version of `test-pg`.
V ?= 18

# How long `fuzz` attacks each target.
SECONDS_EACH ?= 60

.DEFAULT_GOAL := help
.PHONY: help build demo test test-pg test-peers fuzz lint fmt bench bench-embeddings bench-cloudquery bench-adbc bench-small deny sbom bench-peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the release binary, target/release/pgflight
	$(CARGO) build --release --locked --bin pgflight

demo: ## Start a Postgres and a server, load TPC-H over Flight, show what landed (SF=0.1, KEEP=1 to look around)
	$(CARGO) build --profile demo --locked --bin pgflight
	./target/demo/pgflight demo --scale-factor $(SF) $(KEPT)

test: lint test-peers ## Everything: format, lints, unit, integration (all Postgres versions), doc tests
	$(CARGO) test --locked --no-fail-fast

test-pg: ## The integration tests against one PostgreSQL major version (V=16)
	PGFLIGHT_TEST_PG=$(V) $(CARGO) test --locked --test it

fuzz: ## Damaged inputs for every reader of foreign bytes, a minute each (SECONDS_EACH=60), on stable Rust; `cargo fuzz` has the same targets
	PGFLIGHT_FUZZ_SECONDS=$(SECONDS_EACH) $(CARGO) test --locked --test it fuzz:: -- --nocapture

test-peers: ## Build the real CloudQuery CLI and its test programs, once (needs Go; without it their tests are listed as ignored)
	@if scripts/cloudquery-peers check; then scripts/cloudquery-peers; \
	else echo "NOT RUN: the tests with the real CloudQuery CLI (cloudquery::real): no Go that can build tests/peers/go"; fi
	@scripts/pgbouncer install || echo "NOT RUN: the tests behind PgBouncer (pgbouncer): it is not there and cannot be brought"

lint: ## Format check and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## Format the code
	$(CARGO) fmt --all

bench: ## Measure; the numbers of one run are comparable with each other only
	$(CARGO) bench --locked

bench-embeddings: ## What embeddings cost a load of 100,000 TPC-H comments; the machine should do nothing else
	PGFLIGHT_EMBED_ROWS=100000 $(CARGO) test --release --locked --test it embed::cost -- --nocapture

bench-cloudquery: ## Write throughput beside the Go destination of PGFLIGHT_CLOUDQUERY_PEERS (needs Go and half an hour)
	$(CARGO) bench --locked --bench cloudquery

bench-small: ## Puts of one row beside INSERTs of one row, 1, 8 and 64 clients
	$(CARGO) bench --locked --bench small

bench-adbc: ## Ingest and read by ADBC's driver for Flight SQL beside its driver for PostgreSQL (needs Python and PyPI)
	$(CARGO) bench --locked --bench adbc

bench-peers: ## The encoder beside the pgpq crate, on the same inputs
	PGFLIGHT_BENCH_INPUTS=$(CURDIR)/target/encode-inputs $(CARGO) bench --locked --bench encode
	PGFLIGHT_BENCH_INPUTS=$(CURDIR)/target/encode-inputs $(CARGO) bench --locked --manifest-path benches/peers/Cargo.toml

deny: ## Advisories, licences and sources of the dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check

sbom: ## What the program is built from as CycloneDX, target/pgflight.cdx.json (needs cargo-cyclonedx)
	@command -v cargo-cyclonedx >/dev/null || { echo "cargo-cyclonedx is not installed: cargo install --locked cargo-cyclonedx"; exit 1; }
	cargo cyclonedx --format json --override-filename pgflight.cdx
	mkdir -p target && mv pgflight.cdx.json target/pgflight.cdx.json
