# Two commands do everything: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DAGSTER_HOME := $(CURDIR)/.dagster
# Where it is set, as in many containers, every process compiles anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick lint dev docs lock tools screenshots

demo: $(STAMP)  ## the whole pipeline on real digits: images in, evaluated generator out
	dvc repro
	rectok summary --text

test: $(STAMP) lint tools  ## linters, types, import contracts and every test
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

quick: $(STAMP)  ## the quick unit tests only
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(STAMP)
	ruff format --check .
	ruff check .
	mypy
	lint-imports

dev: $(STAMP)  ## the Dagster UI on http://localhost:3000
	dagster dev

docs: $(STAMP)  ## the documentation site in site/; a broken link or anchor fails
	zensical build --strict --clean

tools:  ## what tests drive, where apt can install it; elsewhere those tests are skipped and say so
	@{ command -v chromium && command -v pdsh; } > /dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq --no-install-recommends chromium fonts-dejavu-core pdsh; } \
	  || echo "no Chromium or no pdsh here (apt-get install chromium pdsh): tests that drive them will be skipped"

screenshots: $(STAMP) tools  ## the README's pictures of the Dagster UI, anew
	RECTOK_SCREENSHOTS=docs OMP_NUM_THREADS=1 pytest tests/browser/test_dagster.py

lock: $(STAMP)
	uv pip compile pyproject.toml --group dev --no-annotate --no-header --quiet --output-file requirements.lock

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@
