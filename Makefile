# Two commands do everything on a fresh machine with Python >= 3.11 and make:
#   make worlds   grow 1,000 worlds, export them, and answer one question about them
#   make test     run every check
# Others: make bench (speed, as JSON), make campaign (slow property tests), make tasks-survey (tasks proved and counted),
# make test-adapters (each framework's adapter with the real package, in an environment of its own), make mcp-matrix (the MCP server and clients of other versions), make golden (accept new hashes), make clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= data/out
N ?= 1000
QUERY := SELECT domain, count(*) AS worlds, sum(rows) AS rows, round(avg(tables), 1) AS tables FROM worlds GROUP BY domain ORDER BY rows DESC LIMIT 8

.PHONY: install worlds test test-adapters lint bench campaign tasks-survey mcp-matrix golden sample clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "worlddb needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

worlds: install
	$(BIN)/worlddb spawn --n $(N) --out $(OUT) --resume
	$(BIN)/worlddb export $(OUT)
	$(BIN)/worlddb query $(OUT) "$(QUERY)"

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

test-adapters: install
	$(BIN)/python tests/adapters/run.py --all

bench: install
	$(BIN)/python -m tests.bench

campaign: install
	$(BIN)/python -m pytest -n 2 -q -m campaign

tasks-survey: install
	$(BIN)/python -m tests.task_survey

mcp-matrix: install
	$(BIN)/python -m tests.mcp_matrix

golden: install
	$(BIN)/python -m tests.golden

sample: install
	$(BIN)/python -m tests.sample

clean:
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
