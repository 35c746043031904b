# Every target does the set-up that it needs. `make run`, then `make ui`.
PYTHON ?= python3.11
HOME_DIR ?= $(or $(LAKEHOUSE_HOME),$(CURDIR)/.lakehouse)
BIN := .venv/bin
# Test files at once, beside each other; one worker has all that share an engine. Some 4 GB of memory apiece.
# What fails is named with its group (`…::test_it@engine`): without that, `.venv/bin/pytest NAME` runs it alone.
WORKERS ?= 2
# The public linter of data contracts, in an environment of its own: it wants other lines of pydantic and ruamel.yaml.
DATACONTRACT := .venv-datacontract
DATACONTRACT_CLI := datacontract-cli==1.2.8
export LAKEHOUSE_HOME := $(abspath $(HOME_DIR))
export DAGSTER_HOME := $(LAKEHOUSE_HOME)/dagster
export DO_NOT_TRACK := 1
export TZ := UTC
# Many images forbid Python to keep what it compiled. Then each process compiles some 1,700 modules anew, which is half of what a
# short command takes; here they are kept in .venv and beside the sources.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup prepare run ui test test-contracts lint unit graph soak bench bench-changes bench-upkeep bench-anomalies lock clean

.venv/ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed and $(PYTHON) is not on PATH. Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else "Python 3.11 is needed; $(PYTHON) is %d.%d. Name another: make PYTHON=..." % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python .venv --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
	@touch .venv/ready

setup: .venv/ready ## Python packages, from the lock file

run: setup ## Land what has arrived at the sample shop, and make gold of it
	$(BIN)/lakehouse sample land
	$(BIN)/lakehouse run

ui: setup ## Dagster on http://127.0.0.1:3000
	$(BIN)/lakehouse ui --port $(or $(PORT),3000)

lint: setup
	$(BIN)/ruff check lakehouse lakehouse_tests benchmarks
	$(BIN)/ruff format --check lakehouse lakehouse_tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

prepare: setup ## Spark's jars and class archive, which engines start faster with
	$(BIN)/lakehouse engine prepare

test: setup ## Lint, types, import contracts, and all tests
	LAKEHOUSE_JARS="$${LAKEHOUSE_JARS:-$(CURDIR)/.lakehouse/jars}" $(MAKE) --no-print-directory -j2 lint prepare
	$(BIN)/pytest -q --durations=15 --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

unit: setup ## The tests that need no Spark
	$(BIN)/pytest -q -m "not engine and not e2e and not soak and not datacontract"

$(DATACONTRACT)/ready: Makefile | setup
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(DATACONTRACT)
	$(BIN)/uv pip install --quiet --python $(DATACONTRACT) $(DATACONTRACT_CLI)
	@touch $@

test-contracts: setup $(DATACONTRACT)/ready ## The public `datacontract` command line accepts every contract of ours
	$(BIN)/pytest -v -m datacontract lakehouse_tests/contracts

graph: setup ## Write the graph that the tests expect anew (lakehouse_tests/graph.txt); read the difference
	$(BIN)/python -m lakehouse_tests.graph

soak: setup ## Long runs at random moments and with random data; each prints its seed, and SOAK_SEED repeats one
	$(BIN)/pytest -q -s -m soak

bench: setup ## The product against a plain PySpark script, on the same year
	$(BIN)/python -m benchmarks.year

bench-changes: setup ## What 10,000 changes cost tables of 200,000 rows, of ten and of a hundred times as many
	$(BIN)/python -m benchmarks.changes

bench-upkeep: setup ## A year of daily runs with the weekly maintenance: are file counts and run times flat? (DAYS=120 by default)
	$(BIN)/python -m benchmarks.upkeep --days $(or $(DAYS),120)

bench-anomalies: setup ## What is found of anomalies put into the sample's year, and what is said of the year as it is
	$(BIN)/python -m benchmarks.anomalies

lock: setup ## Resolve requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra cdc --extra dev --generate-hashes --python-version 3.11 --quiet \
		--custom-compile-command "make lock" -o requirements.lock

clean: ## Stop the engine; remove the environment and the checkout's own home, its landing and tables too
	-@test -x $(BIN)/lakehouse && $(BIN)/lakehouse engine stop
	rm -rf .venv $(DATACONTRACT) .lakehouse .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	@test "$(LAKEHOUSE_HOME)" = "$(CURDIR)/.lakehouse" || echo "Left alone: $(LAKEHOUSE_HOME)"
