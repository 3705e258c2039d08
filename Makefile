# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: help install demo test test-slow check format bench docs notebooks clean

help:            ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

install: $(STAMP)  ## a virtual environment with everything

demo: $(STAMP)   ## norm x 3 seeds on the handwritten digits: a table, figures and the report page
	$(BIN)/paribus train -m ablation=demo
	$(BIN)/paribus table ablation=demo -o outputs/demo/table.md
	$(BIN)/paribus figures ablation=demo -o outputs/demo
	$(BIN)/paribus report ablation=demo -o outputs/demo/report.html
	@grep -v paribus-table outputs/demo/table.md

test: check      ## ruff, types, and the test suite
	$(BIN)/python -m pytest -n $(WORKERS) -q

test-slow: check ## the long checks as well
	$(BIN)/python -m pytest -n $(WORKERS) -q -m 'slow or not slow' --timeout 3600 -o faulthandler_timeout=3500

check: $(STAMP)  ## ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## training loop and start-up against plain PyTorch and the usual Lightning pattern
	$(BIN)/python scripts/bench_overhead.py
	$(BIN)/python scripts/bench_sweep.py

docs: $(STAMP)   ## the method cards, from the configuration and docs/cards/*.yaml
	$(BIN)/python scripts/cards.py

notebooks: $(STAMP) ## execute the notebooks, and give the Chinese edition their code and pictures
	$(BIN)/python scripts/notebooks.py

clean:           ## remove what the tools leave behind; never outputs/
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
