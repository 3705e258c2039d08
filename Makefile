# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
# Interpreters of `make test-lowest` and `make test-newest`.
LOWEST_PYTHON ?= $(call python,3.10)
NEWEST_PYTHON ?= $(call python,3.13)
# On the path, or one of pyenv's (whose shims fail for versions that are not selected); else uv fetches that version.
python = $(or $(shell for p in python$(1) $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$(1).*/bin/python; do \
    "$$p" -c '' 2>/dev/null && command -v "$$p" && break; done),$(1))
# requirements.lock keeps torch at this version.
TORCH ?= 2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: help install demo test test-slow test-slurm test-lowest test-newest release-check system check format lock fuzz bench docs site \
    notebooks recording clean

help:            ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

install: $(STAMP)  ## a virtual environment with everything, in the versions of requirements.lock

demo: $(STAMP)   ## norm x 3 seeds on the handwritten digits: a table, figures and the report page
	$(BIN)/paribus train -m ablation=demo
	$(BIN)/paribus table ablation=demo -o outputs/demo/table.md
	$(BIN)/paribus figures ablation=demo -o outputs/demo
	$(BIN)/paribus report ablation=demo -o outputs/demo/report.html
	@$(BIN)/paribus table ablation=demo

test: check system ## ruff, types, and the test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

test-slow: check system ## the long checks as well
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m 'not slurm' --timeout 3600 -o faulthandler_timeout=3500

test-slurm: $(STAMP) ## a real SLURM, started on this machine for it: needs root and apt-get
	$(BIN)/python -m pytest -q -m slurm --timeout 1200 -o faulthandler_timeout=1100 tests/extras/cluster

test-lowest: $(STAMP) system ## the suite with the oldest versions that pyproject.toml allows, in .venv-lowest
	$(call suite,.venv-lowest,$(LOWEST_PYTHON),lowest-direct)

test-newest: $(STAMP) system ## the suite with the newest versions, in .venv-newest; torch brings gigabytes of CUDA
	$(call suite,.venv-newest,$(NEWEST_PYTHON),highest)

# $(call suite,FOLDER,PYTHON,RESOLUTION): a new environment of these versions, and the suite in it.
define suite
$(BIN)/uv venv --quiet --clear --seed --python $(2) $(1)
$(BIN)/uv pip install --quiet --upgrade --python $(1) --resolution $(3) -e '.[dev]'
$(BIN)/uv pip list --quiet --python $(1)
$(1)/bin/python -m pytest -n $(WORKERS) --dist worksteal -q
endef

release-check: $(STAMP) ## wheel and sdist, and the wheel alone on each of Python 3.10 to 3.13 that is there (VERSIONS="3.12")
	$(BIN)/python scripts/release_check.py $(VERSIONS)

system:          ## what some tests need of Debian's packages; installed where apt-get and root are there
	@$(PYTHON) tests/helpers/system.py

check: $(STAMP)  ## ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP)   ## requirements.lock anew: newest versions, for Python 3.10 and later, with torch $(TORCH)
	echo 'torch==$(TORCH)' | $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade --extra dev \
	    --constraints - --custom-compile-command 'make lock' -o requirements.lock pyproject.toml

fuzz: $(STAMP)   ## 2,000 malformed command lines: no traceback, no wrong exit code, no nonsense accepted
	$(BIN)/python scripts/fuzz.py --lines 2000 --seed $(or $(SEED),0)

bench: $(STAMP)  ## training loop and start-up against plain PyTorch and the usual Lightning pattern
	$(BIN)/python scripts/bench_overhead.py
	$(BIN)/python scripts/bench_sweep.py

docs: $(STAMP)   ## the method cards, from the configuration and docs/cards/*.yaml
	$(BIN)/python scripts/cards.py

site: $(STAMP)   ## the site, in site/; a broken link is an error, and nothing comes from the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

recording: $(STAMP) ## the recording of a terminal in README.md, from a real run
	$(BIN)/python scripts/recording.py

notebooks: $(STAMP) ## execute the notebooks, and give the Chinese edition their code and pictures
	$(BIN)/python scripts/notebooks.py

clean:           ## remove what the tools leave behind; never outputs/
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
