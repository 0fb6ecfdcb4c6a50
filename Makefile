# Everything runs in a virtual environment of its own; `make clean` removes it.
#   make demo   compress and decompress the bundled samples with the embedded model
#   make test   the whole test suite
#   make test-fast   without the tests that take more than a few seconds
#   make lint   ruff and pyright, both strict
#   make docs   the documentation, as a site in site/
#   make man    the manual pages, in man/
#   make browser   the script of the page that `ncodec page` makes, from browser/ (needs node and npm)
#   make dist   wheel and source distribution in dist/, checked

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Two at once: a worker has whole files, so that their fixtures are made once.
PYTEST_ARGS ?= -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format docs man browser dist clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[metrics]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt --group test -e '.[train,metrics,datasets,export,call,serve,rhythm]'
	@touch $@ $(VENV)/.demo

$(VENV)/.lint: pyproject.toml constraints.txt | $(VENV)/.test
	$(PIP) install -c constraints.txt --group lint
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/.demo
	$(PIP) install -c constraints.txt --group docs
	@touch $@

$(VENV)/.dist: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt --group dist
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python benchmarks/demo.py

# Without npm, or where it gets nothing, the tests that need it are skipped with the reason.
browser/node_modules/.package-lock.json: browser/package-lock.json
	@cd browser && if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund --silent; fi || true

test: $(VENV)/.test browser/node_modules/.package-lock.json
	$(BIN)/python -m pytest $(PYTEST_ARGS) --ignore=tests/live
	$(BIN)/python -m pytest tests/live # in real time: with nothing beside it

test-fast: $(VENV)/.test browser/node_modules/.package-lock.json
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS) --ignore=tests/live
	$(BIN)/python -m pytest -m "not slow" tests/live

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

man: $(VENV)/.demo
	$(BIN)/python man/make.py

browser: browser/node_modules/.package-lock.json
	cd browser && node build.mjs --page ../ncodec/page/page.js

dist: man $(VENV)/.dist
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

clean:
	rm -rf $(VENV) dist site man/*.1 .pytest_cache .ruff_cache .hypothesis demo-output bench-output browser/node_modules browser/dist
