# One command interface for people and for CI. Works as root and as a normal user.

SHELL := /bin/bash
export PATH := $(CURDIR)/.cache/buf/bin:$(HOME)/.cargo/bin:$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: build
build: ## The service and the command line, for development.
	@.ci/prerequisites
	cargo build --workspace --locked

.PHONY: release
release: ## The same, optimised.
	@.ci/prerequisites
	cargo build --workspace --locked --release

.PHONY: demo
demo: build ## Moves a sample database to a private PostgreSQL and shows the result.
	@target/debug/demo

.PHONY: check
check: ## Everything that must pass: formatting, lints, interface, tests.
	@.ci/prerequisites lint test deploy
	deploy/check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	buf lint
	cargo build --workspace --locked
	cargo test --workspace --locked

.PHONY: deploy-check
deploy-check: ## The part of it that needs no build: everything in deploy/, and the Dockerfile.
	@.ci/prerequisites deploy
	deploy/check

.PHONY: image-check
image-check: ## Runs the commands of the Dockerfile in a directory with Debian in it, as root; takes long.
	@.ci/prerequisites image
	deploy/check-image

.PHONY: deny
deny: ## Advisories, licences and sources of all dependencies; gets cargo-deny, which takes minutes to build.
	@.ci/prerequisites deny
	cargo deny --locked check

.PHONY: soak
soak: build ## Kills the server in migrations, and there and back again, SWITCHBACK_SOAK_KILLS times each (500).
	SWITCHBACK_SOAK_KILLS=$${SWITCHBACK_SOAK_KILLS:-500} \
	cargo test --locked -p switchback-tests --test scenarios -- --exact --nocapture \
	live::a_server_that_is_killed_again_and_again_loses_nothing \
	live::a_server_that_is_killed_there_and_back_again_loses_nothing

.PHONY: bench
bench: release ## Measures against pgloader and psql; sizes by SWITCHBACK_BENCH_ROWS and _TABLES.
	SWITCHBACK_BIN_DIR=$(CURDIR)/target/release cargo bench --locked -p switchback-tests --bench migrate

.PHONY: bench-live
bench-live: release ## Measures the write pause, the cost of capture and the rate that is followed.
	SWITCHBACK_BIN_DIR=$(CURDIR)/target/release cargo bench --locked -p switchback-tests --bench live

.PHONY: bench-backup
bench-backup: release ## Measures backups and restorations against sqlite3, zstd, pg_dump and pg_restore.
	SWITCHBACK_BIN_DIR=$(CURDIR)/target/release cargo bench --locked -p switchback-tests --bench backup

.PHONY: bench-back
bench-back: release ## Measures the way back: both pauses, the reverse lag and the cost of capture.
	SWITCHBACK_BIN_DIR=$(CURDIR)/target/release cargo bench --locked -p switchback-tests --bench back

.PHONY: bench-service
bench-service: release ## Measures an idle server, calls with and without TLS and tokens, and many watchers.
	SWITCHBACK_BIN_DIR=$(CURDIR)/target/release cargo bench --locked -p switchback-tests --bench service
