# `make help` lists what can be made. PYTHON picks the interpreter that .venv is made from.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install demo study test test-all check format bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed ## Make .venv and install everything into it

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Bitfleet needs Python 3.11 or later; try: make PYTHON=python3.12 install"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install ## Run the main job into runs/demo: scenes, fleet, training, report
	$(BIN)/bitfleet simulate configs/demo.yaml --out $(OUT)

study: install ## Run the paper's experiments, small, into runs/study-demo
	$(BIN)/bitfleet study configs/study-demo.yaml --out runs/study-demo

test: install ## Run the tests
	$(BIN)/pytest

test-all: install ## Run all tests, the slow ones too
	$(BIN)/pytest -m ''

check: install ## Formatter, linter, strict types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

format: install ## Format the source and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Print the benchmarks (quarter of an hour)
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

clean: ## Remove what was run and cached, but not .venv
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
