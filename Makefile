# Variables such as ONCE=1, KAFKA=..., DATABASE_URL=... or PORT=... reach the programs through the environment:
# make exports whatever its command line sets.
PYTHON ?= python3
DO ?= up
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint services bench docs clean python

help:  ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/dev  ## the example shop with its admin; ONCE=1 KAFKA=host:port DATABASE_URL=... PORT=8000
	$(BIN)/python -m example_project.demo

test: .venv/dev  ## all tests, once per database that is there; ARGS="-k words --database sqlite"
	$(BIN)/python -m tests $(ARGS)

lint: .venv/dev  ## style, types, the floors, and whether a migration is missing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings

services: python  ## PostgreSQL, PgBouncer, MariaDB, Kafka, Debezium, chromium, without docker; DO=down, reset or status
	@$(PYTHON) -m tests.services $(DO)
ifeq ($(DO),up)
	@$(MAKE) --no-print-directory .venv/mysql
endif

bench: .venv/bench  ## the benchmarks; NAME=... for one, FULL=1 for those that take long too, ROUNDS=5
	$(BIN)/python -m benchmarks $(NAME) $(if $(FULL),--full) $(if $(ROUNDS),--rounds $(ROUNDS))

docs: .venv/docs  ## the manual, into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:  ## remove what tests and builds leave behind, but not .venv
	rm -rf build dist docs/_build .demo .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(None if sys.version_info >= (3, 11) else \
		"django_dlq needs Python 3.11 or newer, and $(PYTHON) is " + v + ". Try: make PYTHON=python3.13 ...")'

# Each stamp says: .venv holds this extra as of the present pyproject.toml.
.venv/bench .venv/dev .venv/docs .venv/mysql: .venv/%: pyproject.toml | python
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
