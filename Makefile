# All that one types in this project. Each target makes the environment that it needs, once: a second `make` is instant.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo quick test check bench stories proto fmt clean

# The tests start hundreds of processes, and each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
WORLDS ?= 1000
SEED ?= 0
# How many at a time, and in which order, is said in tests/conftest.py. Dealt out one by one they keep that order.
SPREAD := -n auto --maxschedchunk 1

define LINT
@$(PY) -m ruff check .
@$(PY) -m ruff format --check .
@$(PY) -m mypy
@.venv/bin/lint-imports
endef

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

demo: .venv/.stamp-run ## A Hong Kong day in a minute, recorded through three accidents and proven (DEMO="--seconds 20")
	@.venv/bin/hk-tick-collector demo $(DEMO)

test: .venv/.stamp-test ## Run the tests (PYTEST="-k journal")
	@$(PY) -m pytest $(SPREAD) $(PYTEST)

quick: .venv/.stamp-dev ## Lint, check types and imports, run the tests without processes: the first answer to a change
	$(LINT)
	@$(PY) -m pytest -n auto -q -m "not faults and not processes" tests/unit tests/property tests/test_style.py $(PYTEST)

check: .venv/.stamp-dev ## Lint, check types and imports, then run the tests
	$(LINT)
	@$(PY) -m pytest $(SPREAD) $(PYTEST)

bench: .venv/.stamp-test ## Measure it on this machine
	@$(PY) -m bench $(BENCH)

stories: .venv/.stamp-test ## Play seeded days, and count wrong conclusions (WORLDS=10000 SEED=0 STORIES="--json")
	@PYTHONPATH=tests $(PY) -m worlds --worlds $(WORLDS) --seed $(SEED) $(STORIES)

proto: .venv/.stamp-dev ## Generate the protobuf modules anew from their .proto files
	@$(PY) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	    hk_tick_collector/opend/opend.proto hk_tick_collector/opend/columns.proto

fmt: .venv/.stamp-dev ## Format the code, and mend what ruff can mend
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

clean: ## Delete all that make and the tools have made
	rm -rf .venv demo-data bench-data build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	    .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the tests need includes what running needs, and what developing needs includes both.
.venv/.stamp-%: pyproject.toml constraints.txt tools/bootstrap.sh
	@PYTHON="$(PYTHON)" bash tools/bootstrap.sh $*
