# AILayer. `make` alone lists the targets.

CACHE  := $(or $(AILAYER_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ailayer)
CARGO  := cargo
# Compiled code is kept beside the tools, outside the work tree, so that a fresh clone starts warm.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TERM_PROGRESS_WHEN ?= auto
AILAYER := $(CARGO_TARGET_DIR)/debug/ailayer

.DEFAULT_GOAL := help
.PHONY: help setup build demo up bench-serving bench-settlement test test-unit test-services test-e2e test-crash lint fmt gen check-gen tidy doc

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

##@ Use it
setup: ## Install what is missing: PostgreSQL, Bitcoin Core, ElectrumX, ONNX Runtime, the model
	@deploy/dev/setup

build: setup ## Build everything (debug profile: tests, demo and end-to-end share it)
	@deploy/dev/timed "building AILayer" $(CARGO) build --workspace --bins --locked

# Handed on as it was typed: neither make nor the shell reads dollars, quotes or backticks in it.
demo: export AILAYER_DEMO_TEXT = $(value TEXT)
demo: build ## Watch a paid inference; TEXT="one sentence|another" embeds your own
	@set -f; IFS='|'; exec $(AILAYER) demo -- $$AILAYER_DEMO_TEXT

up: build ## Run the platform on a private network until Ctrl-C
	@$(AILAYER) up --devnet

bench-serving: setup ## Serving against the bare engine: nine ratios, 30 minutes; ARGS="--only S1" (release profile)
	@deploy/dev/timed "building the bench" $(CARGO) build --release -p ailayer-bench --locked
	@$(CARGO_TARGET_DIR)/release/ailayer-bench $(ARGS)

bench-settlement: setup ## What settling costs: the ledger against bare rows, paid calls against unpaid; ARGS="--only L1"
	@deploy/dev/timed "building the bench" $(CARGO) build --release -p ailayer-cli -p ailayer-bench-settlement --locked
	@$(CARGO_TARGET_DIR)/release/ailayer-bench-settlement $(ARGS)

##@ Change it
test: setup ## Everything: lints, unit, PostgreSQL, bitcoind, Lightning, end to end
	@deploy/dev/test all

test-unit: setup ## Tests inside the crates; those of SQL need PostgreSQL
	@deploy/dev/test unit

test-services: setup ## Tests of each service against real PostgreSQL, bitcoind and Lightning nodes
	@deploy/dev/test services

test-e2e: setup ## Paid inferences through real processes, and crashes behind each durable write
	@deploy/dev/test e2e

test-crash: setup ## kill -9 of each service and PostgreSQL behind each durable write, on both rails, then the books
	@deploy/dev/test crash

lint: ## rustfmt, clippy, architecture
	@deploy/dev/test lint

fmt: ## Format the code
	@$(CARGO) fmt --all

gen: ## Regenerate crates/proto/src/gen from proto/
	@$(CARGO) xtask gen-proto

check-gen: ## Fail if the generated code is not what proto/ says
	@$(CARGO) xtask gen-proto --check

tidy: ## Check the architecture; print the largest files
	@$(CARGO) xtask tidy

doc: ## Build the API documentation
	@$(CARGO) doc --workspace --no-deps --locked
