# `make help` lists what there is. Everything is set up on the way; nothing needs root.

PYTHON ?= python3
BIN := .venv/bin
UV := UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$PIP_INDEX_URL}" $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: help run drill fakes test cover lint check bench fix pictures clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/.run  ## start Tocsin on an SQLite file with the shipped routing.yaml
	$(BIN)/tocsin serve

drill: .venv/.run  ## send a drill through the Tocsin that runs, and show its receipt
	$(BIN)/tocsin test-alert

fakes: .venv/.dev  ## run all fake services, watch what each receives, press their buttons
	@$(BIN)/python -m tests.fakes

test: .venv/.dev  ## run the tests
	$(BIN)/pytest -n 2

cover: .venv/.dev  ## check that the tests of policy take every branch of it
	$(BIN)/pytest -n 2 tests/policy --cov=receiver.policy --cov-branch --cov-report=term-missing --cov-fail-under=100

lint: .venv/.dev  ## look for what is wrong without running it
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint cover test  ## all that CI runs

bench: .venv/.dev  ## measure against a real Alertmanager; writes docs/performance.md
	$(BIN)/python -m benchmarks --write

fix: .venv/.dev  ## format, mend what can be mended, and write routing.schema.json
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -c "from receiver.config import schema_text; print(schema_text(), end='')" > routing.schema.json

pictures: .venv/.dev  ## make the pictures of the documentation anew
	$(BIN)/python -m docs.make_pictures
	$(BIN)/python docs/make_terminal.py

clean:  ## remove what was set up and cached
	rm -rf .venv .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov dist

# The locks hold hashes and no addresses: whichever index pip is set up for serves them. uv is asked first
# because it is ten times faster; it does not read pip's configuration, so pip comes after it.

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tocsin needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up in .venv; this happens once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || echo "without uv: pip takes longer"
	@touch $@

.venv/.run: .venv/.python requirements.txt pyproject.toml
	@$(UV) --require-hashes -r requirements.txt || $(BIN)/pip install --quiet --require-hashes -r requirements.txt
	@$(UV) --no-deps -e . || $(BIN)/pip install --quiet --no-deps -e .
	@touch $@

.venv/.dev: .venv/.python requirements-dev.txt pyproject.toml
	@$(UV) --require-hashes -r requirements-dev.txt || $(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	@$(UV) --no-deps --no-build-isolation -e . || $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ .venv/.run

# After a change of the dependencies in pyproject.toml.
lock: .venv/.python
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --extra ical --extra postgres -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --extra apprise --extra ical --extra postgres --group dev -o requirements-dev.txt
.PHONY: lock
