# Two commands do everything: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
DEVELOPS := $(VENV)/.develops
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DAGSTER_HOME := $(CURDIR)/.dagster
# Where it is set, as in many containers, every process compiles anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests quick lint dev docs lock screenshots

demo: $(RUNS)  ## the whole pipeline on real digits: images in, evaluated generator out
	dvc repro
	rectok summary --text

test: $(DEVELOPS)  ## linters, types, import contracts and every test, at the same time
	$(MAKE) --no-print-directory --jobs 2 lint tests

tests: $(DEVELOPS)
	OMP_NUM_THREADS=1 pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

quick: $(DEVELOPS)  ## the quick unit tests only
	OMP_NUM_THREADS=1 pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(DEVELOPS)
	ruff format --check .
	ruff check .
	mypy
	lint-imports

dev: $(RUNS)  ## `dg dev`: the Dagster UI on http://localhost:3000, and its pictures and reports on 3001
	python -m orchestration.pages

docs: $(DEVELOPS)  ## the documentation site in site/; a broken link or anchor fails
	zensical build --strict --clean

screenshots: $(DEVELOPS)  ## the README's pictures of the Dagster UI, anew
	RECTOK_SCREENSHOTS=docs OMP_NUM_THREADS=1 pytest tests/browser/test_dagster.py

lock: $(DEVELOPS)  ## both locks anew: what runs, and with it what develops
	uv pip compile pyproject.toml --python-version 3.11 --no-annotate --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --python-version 3.11 --group dev --constraint requirements.lock --no-annotate --no-header \
	  --quiet --output-file requirements-dev.lock

$(RUNS): requirements.lock pyproject.toml
$(DEVELOPS): requirements-dev.lock pyproject.toml
$(RUNS) $(DEVELOPS):
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement $<
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@
