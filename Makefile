# make run    the embedded demo fleet, watched on http://127.0.0.1:10623
# make test   all tests (those that need a program that is not installed are skipped by name)
# make check  what CI runs: lint, types, alert rules, dashboards, examples, tests
# make dashboards  writes the Grafana dashboards anew (dashboards/README.md)
# make bench  ours and the peers side by side, eight minutes; QUICK=1 three minutes (docs/performance.md)
# make screenshots  the README's pictures, with chromium
# make simulate  a year of 1,000 server-checks in virtual time against what the contract owes (docs/simulation.md)
# make format writes the code as the linter wants it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps

.PHONY: run test bench simulate check lint types examples dashboards unchanged-dashboards screenshots format lock clean
.PHONY: help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

run: $(VENV)/.runtime
	$(BIN)/dserver-exporter demo

test: $(VENV)/.development
	$(BIN)/python -m pytest

bench: $(VENV)/.runtime
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick)

simulate: $(VENV)/.development
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED))

screenshots: $(VENV)/.development
	$(BIN)/python -m tests.browser.screenshots

check: lint types unchanged-dashboards examples test

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.development
	$(BIN)/mypy

dashboards: $(VENV)/.development
	$(BIN)/python -m dashboards.generate

unchanged-dashboards: $(VENV)/.development
	$(BIN)/python -m dashboards.generate --check

examples: $(VENV)/.development
	$(BIN)/dserver-exporter check-config --config.file=examples/dserver.yml

format: $(VENV)/.development
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Written anew from pyproject.toml: versions and hashes only, for every Python from 3.11 on.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --group build --upgrade --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --constraint requirements.lock --quiet --output-file requirements-dev.lock

$(VENV)/bin/python:
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is incomplete here; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what requirements.lock names (about half a minute) ..."
	@$(PIP) -r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what requirements-dev.lock names (about half a minute) ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
