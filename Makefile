# Two commands: `make bench` sets up and measures; `make test` sets up and tests. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
COMPILED := setup.py pyproject.toml $(wildcard fastopt/*/*.pxd fastopt/*/*.pyx fastopt/host/*.h fastopt/rules/*.py fastopt/storage/*.py) \
	fastopt/transcribe.py fastopt/kernel.py fastopt/stages.py fastopt/backends/reading.py $(wildcard fastopt/backends/cython_*.py)

.DEFAULT_GOAL := help
.PHONY: help attack bench bench-full bench-cuda bench-smoke baseline test test-long test-all lint check report gallery narrow peers readme-figures documents clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

bench: $(VENV)/bench  ## measure on this machine (some ten minutes) and write reports/latest
	$(BIN)/fastopt info --no-measure
	$(BIN)/fastopt bench --profile quick --output reports/latest

bench-full: $(VENV)/bench  ## the same over more sizes and with more rounds (half an hour)
	$(BIN)/fastopt bench --profile full --output reports/latest

bench-cuda: $(VENV)/test $(VENV)/frameworks $(VENV)/cuda  ## check and measure on this machine's GPU (meant for ten minutes, not yet timed); writes reports/<its name>
	@$(BIN)/python -c "import fastopt, sys; why = fastopt.available_backends()['cuda']; sys.exit(None if why is True else f'no CUDA: {why}')"
	$(BIN)/fastopt info --no-measure
	$(BIN)/fastopt check
	$(BIN)/python -m pytest tests/cuda --ignore tests/cuda/test_stand_ins.py
	$(BIN)/fastopt bench --device cuda

bench-smoke: $(VENV)/bench  ## does the benchmark run at all (a minute)
	$(BIN)/fastopt bench --profile smoke --output reports/.scratch/smoke

# a process a core: BLAS threads beside them only wait for each other
SPREAD := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests --numprocesses auto --maxprocesses 16 --dist loadfile --no-loadscope-reorder

test: $(VENV)/test  ## the tests, spread over the cores: all but the long ones
	$(SPREAD) -m 'not alone and not long'
	$(BIN)/python -m pytest $$(grep -rl --include='test_*.py' 'mark\.alone' tests) -m alone

test-long: $(VENV)/test  ## those that build the package, attack it, start many processes, or stand in for a device with every rule
	$(SPREAD) -m long

test-all: test test-long  ## both

attack: $(VENV)/test  ## an hour of calls at random, altered files, killed processes, forks, signals, sanitizers
	$(BIN)/python -m tests.attack

lint: $(VENV)/test $(VENV)/lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: $(VENV)/bench  ## every backend against the reference, in ULP
	$(BIN)/fastopt check

report: $(VENV)/bench  ## the report once more, from the record of the last run
	$(BIN)/fastopt report --output reports/latest

gallery: $(VENV)/bench  ## draw reports/gallery: learning rates, decays, batch sizes, averages, ways of optimizers (half a minute)
	$(BIN)/fastopt gallery

narrow: $(VENV)/bench $(VENV)/frameworks  ## measure and draw reports/narrow: states in fewer bytes, what they cost and do (six minutes)
	$(BIN)/fastopt narrow

peers: $(VENV)/frameworks  ## install PyTorch, JAX, optax and thinc to measure and test beside

baseline: $(VENV)/bench $(VENV)/frameworks  ## measure reports/baseline and the README's figures anew, before a release
	$(BIN)/fastopt bench --profile quick --output reports/.scratch/baseline
	$(BIN)/fastopt report --record reports/.scratch/baseline/record.json --output reports/baseline
	$(BIN)/python -m bench.readme
	$(BIN)/python -m bench.baseline

documents: $(VENV)/bench  ## write what follows from the families: the README's table, and the types of the optimizers' constructors
	$(BIN)/python -m fastopt.optimizers.documents

readme-figures: $(VENV)/bench  ## write the README's figures from reports/baseline
	$(BIN)/python -m bench.readme

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) build dist *.egg-info reports/.scratch .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	rm -f fastopt/*/*.so fastopt/backends/_built.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fastopt needs Python 3.11 or later; make PYTHON=... names another one" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# the package, built; once more where its sources changed
$(VENV)/built: $(VENV)/python $(COMPILED)
	@echo "building fastopt in $(VENV) (a minute or two)"
	$(PIP) --editable .
	@touch $@

# one stamp a set of packages beside it
$(VENV)/bench $(VENV)/test $(VENV)/lint $(VENV)/cuda $(VENV)/frameworks: $(VENV)/built
	@echo "setting up $(notdir $@) in $(VENV) (a minute the first time)"
	$(PIP) 'fastopt[$(notdir $@)]'
	@touch $@
