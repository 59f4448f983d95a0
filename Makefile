# `make demo` and `make test` build what they need by themselves; a second run finds it built.
PYTHON ?= python3
VENV ?= .venv
export GREENSALT_STOCK_VENVS ?= $(CURDIR)/.venvs
export GREENSALT_VENV := $(VENV)

BIN := $(VENV)/bin
# One stamp per set of packages: it is newer than setup.cfg once they are installed.
RUNTIME := $(VENV)/.greensalt-runtime
DEV := $(VENV)/.greensalt-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help venv demo test stock-venvs browser check bench performance loadtest serializers clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(DEV)  ## the virtual environment .venv/ with everything to work on greensalt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "greensalt needs Python 3.11 or newer, and $(PYTHON) is" \
	        "$$({ $(PYTHON) --version || echo missing; } 2>&1 | head -n 1)." \
	        "Name another one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) can't make virtual environments: install its venv package" \
	        "(Debian: python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --config-settings editable_mode=compat --editable .
	@touch $@

$(DEV): setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@ $(RUNTIME)

demo: $(RUNTIME)  ## start a master and three minions, run test.ping on them, stop them
	$(BIN)/greensalt demo --minions 3 --once

stock-venvs:  ## the stock Salts of the interop tests, each in a virtual environment (cached)
	@$(PYTHON) tools/stock-venvs

browser:  ## the Chromium of the web UI's tests, if it can be installed here
	@tools/browser

test: $(DEV) stock-venvs browser  ## every test, stock Salt daemons included, with the coverage gate
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage report --fail-under=100 \
	    --include='greensalt/wire/*,greensalt/crypto/*,greensalt/target/*'

check: $(DEV)  ## format, lint, types, import layers
	tools/check

bench: $(DEV) stock-venvs  ## the figures of the README, measured on this machine
	$(BIN)/python -m tools.bench

PERFORMANCE := docs/performance
performance: $(DEV) stock-venvs  ## docs/performance.md anew, from all benchmarks on this machine
	mkdir -p $(PERFORMANCE)
	$(BIN)/python -m tools.bench --out $(PERFORMANCE)/basics.json
	$(BIN)/python -m tools.bench.limit --out $(PERFORMANCE)/limit.json
	$(BIN)/python -m tools.bench.steps --out $(PERFORMANCE)/steps.json
	$(BIN)/python -m tools.bench.bus --out $(PERFORMANCE)/bus.json
	$(BIN)/python -m tools.bench.workers --out $(PERFORMANCE)/workers.json
	$(BIN)/python -m tools.bench.files --out $(PERFORMANCE)/files.json
	$(BIN)/python -m tools.bench.scale --out $(PERFORMANCE)/scale.json
	$(BIN)/python -m tools.bench.scale --minions 9500 --links 300 --jobs 3 --only greensalt \
	    --out $(PERFORMANCE)/many.json
	$(BIN)/python -m tools.bench.minions --out $(PERFORMANCE)/minions.json
	$(BIN)/python -m tools.bench.page

loadtest: $(DEV)  ## locust's web UI on http://127.0.0.1:8089, with a master and a fleet of its own
	$(BIN)/locust -f loadtest/ --web-host 127.0.0.1

serializers: $(DEV)  ## measure the serializers (four minutes) and write docs/serializers.md
	$(BIN)/python -m tools.serializers

clean:  ## remove what was built, but not the virtual environments
	rm -rf build dist *.egg-info htmlcov .coverage .coverage.* \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
