# Every target works on a fresh clone by itself: it makes .venv first if it has to.
#   make sandbox      try Atelier: the bot, the built-in model and a local Discord in your browser
#   make configure    run it on a real server: token, invite link, model, safety
#   make test         run the tests
#   make test-fast    run the quick ones, in about a minute
#   make test-long    run the long forms that make test leaves out
# On a machine without an NVIDIA card add TORCH=cpu to the first command: a far smaller download.

PYTHON ?= python3
TORCH ?= default
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
# The local Discord is a distribution of its own: packages/discord_sandbox.
SANDBOX := packages/discord_sandbox
PIP = $(BIN)/python -m pip install --disable-pip-version-check --no-compile
# Files whose hashes are not those of the lock are refused.
LOCKED := --no-deps --require-hashes
ARGS ?=
# Two processes more than there are cores, four at most: many tests wait for a process of their own, or for a clock.
# The order of the files is that of tests/conftest.py: the longest first.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 2))')
PARALLEL = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Packages come without bytecode, and a process that may not keep any compiles torch and diffusers at every start: 14 s
# of processor time instead of 5.
unexport PYTHONDONTWRITEBYTECODE

ifeq ($(TORCH),cpu)
PIP_INDEX := --extra-index-url https://download.pytorch.org/whl/cpu
SIZE := about 0.4 GB
else
PIP_INDEX :=
SIZE := about 0.4 GB where torch comes without CUDA (macOS, Windows), about 4 GB with it (Linux; TORCH=cpu avoids that)
endif

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev sandbox configure run test test-fast test-long coverage lint check bench reliability doctor format wheel sbom docs lock texts pictures clean

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'also: setup run coverage check bench reliability doctor format wheel sbom docs lock texts pictures clean'

$(VENV)/.run: pyproject.toml $(SANDBOX)/pyproject.toml constraints.txt requirements.lock
	@echo "Setting up $(VENV) with $(PYTHON): downloads $(SIZE), once."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Atelier needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) $(LOCKED) -r requirements.lock
	@$(BIN)/python -m pip uninstall --quiet --yes atelier 2>/dev/null  # what this was called before
	@$(PIP) $(PIP_INDEX) --no-build-isolation -c constraints.txt -e $(SANDBOX) -e '.[sandbox]'
	@touch $@
	@echo "Ready."

$(VENV)/.dev: $(VENV)/.run requirements-extras.lock requirements-dev.lock
	@echo "Adding the tools for tests and checks: about 0.1 GB, once."
	@$(PIP) --quiet $(LOCKED) -r requirements-extras.lock -r requirements-dev.lock
	@$(PIP) --quiet $(PIP_INDEX) --no-build-isolation -c constraints.txt -e '$(SANDBOX)[openapi]' -e '.[dev]'
	@touch $@

setup: $(VENV)/.run

setup-dev: $(VENV)/.dev

sandbox: $(VENV)/.run
	@$(BIN)/python bot.py sandbox --port $(PORT) $(ARGS)

# The first start: token, invite link, server, card, model, safety. ARGS="--yes --token-file FILE" asks nothing.
configure: $(VENV)/.run
	@$(BIN)/python bot.py setup $(ARGS)

run: $(VENV)/.run
	@$(BIN)/python bot.py serve $(ARGS)

doctor: $(VENV)/.run
	@$(BIN)/python bot.py doctor $(ARGS)

# Without the long forms of tests that have a short one.
test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(PARALLEL) -m "not long" $(ARGS)

# About a minute on two cores: without the files that take seconds of processor time each.
test-fast: $(VENV)/.dev
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-long: $(VENV)/.dev
	@$(BIN)/python -m pytest $(PARALLEL) -m long $(ARGS)

# The quick tests, and how much of the code they reach. Not all tests: to count costs half of the processor time again.
coverage: $(VENV)/.dev
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" --cov --cov-report=term:skip-covered $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

check: lint
	@$(BIN)/python -m pytest -q $(PARALLEL) -m "not long" tests/project

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# make bench ARGS="startup --json"
bench: $(VENV)/.dev
	@$(BIN)/python -m bench $(ARGS)

# make reliability ARGS="chaos --kills 100 --seed 7"; chaos, fleet_chaos, soak, stops or storm
reliability: $(VENV)/.dev
	@$(BIN)/python -m tests.reliability.$(ARGS)

# Takes the screenshots of docs/images/ again; ARGS="grid recipe" some of them. Needs Chromium.
pictures: $(VENV)/.dev
	@PYTHONPATH=.:$(SANDBOX)/tests $(BIN)/python -m tests.pictures $(ARGS)

# Keeps the catalogues of cogs/i18n/locale/ in step with the texts of the code; ARGS=fr begins a language.
texts: $(VENV)/.dev
	@$(BIN)/python -m cogs.i18n.extract $(ARGS)

# Builds dist/atelier_bot-*.whl, to be installed into an environment of its own: docs/installing.md.
wheel: $(VENV)/.run
	@rm -rf build
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .

# The documentation as a site: build/docs/site. Fails if a link is broken. To look at it: python -m http.server -d build/docs/site
docs: $(VENV)/.dev
	@$(BIN)/python tools/docs_site.py

# Lists every library of a release, with its hashes, as dist/sbom.json (CycloneDX). How a release is made: docs/releasing.md.
sbom: $(VENV)/.dev
	@mkdir -p dist
	@CYCLONEDX=$(BIN)/cyclonedx-py PYTHON=$(BIN)/python .ci/sbom > dist/sbom.json
	@echo dist/sbom.json

# Renews constraints.txt and the lock files from what is installed now.
lock: $(VENV)/.dev
	@$(PIP) --quiet uv
	@$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) build dist sandbox-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
