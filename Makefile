# `make` shows what there is. Every target builds .venv first when its lock changed.
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo up test check chaos bench lock clean
SHELL := /bin/sh
BIN := .venv/bin
# One worker more than there are cores, as tests wait, too; the servers are shared. PYTEST="-k name -x" adds options.
WORKERS ?= $(shell expr $$(nproc) + 1)
PYTEST ?=
BENCH ?=
CHAOS ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

install: ## build .venv with .venv/bin/vivideo
	@deploy/local/install.sh requirements.lock

install-dev:
	@deploy/local/install.sh requirements-dev.lock

demo: install ## start everything and make one video
	@$(BIN)/vivideo demo

up: install ## start everything and stay
	@$(BIN)/vivideo up

# A file's tests share a stack, so they stay together.
test: install-dev ## tests on real servers, in parallel
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST)

check: install-dev ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

chaos: install-dev ## kill, freeze, flush, restart for over an hour: nothing lost, nothing paid twice (CHAOS="--seeds 1" shortens)
	@$(BIN)/python -m pytest -m "chaos or not chaos" tests/journeys/test_recovery.py tests/journeys/test_what_dies.py \
		tests/journeys/test_broken_backend.py tests/journeys/test_tokens_and_limits.py tests/journeys/test_local_stack.py \
		tests/chaos tests/renders/test_model.py $(PYTEST)
	@$(BIN)/python -m tests.chaos.points
	@$(BIN)/python -m tests.chaos $(CHAOS)

bench: install-dev ## measure throughput and cost (BENCH="intake uploads waiters --quick" chooses)
	@$(BIN)/python -m tests.bench $(BENCH)

# The tools' lock first: what both share must be one version.
lock: install-dev ## resolve the newest versions into the lock files
	@$(COMPILE) --upgrade --extra local --extra dev -o requirements-dev.lock pyproject.toml
	@$(COMPILE) --upgrade --extra local -c requirements-dev.lock -o requirements.lock pyproject.toml
	@$(COMPILE) --upgrade -c requirements-dev.lock -o requirements-base.lock pyproject.toml

clean: ## remove what was built; the state directory (.vivideo) stays
	@rm -rf .venv build out *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
