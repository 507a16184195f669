# The user's path. Everything sets up what it needs; nothing needs to be done before.
#
#   make demo     install into .venv and run the main job for half a minute
#   make test     install, then every test (mosquitto from Debian, with apt where it may)
#   make check    ruff, mypy --strict, import-linter, docs against code

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# One stamp per set of dependencies: an unchanged project is not installed twice.
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed
# What was tested on the virtual environment's Python; a newer one than those goes without.
PY_TAG = $(shell $(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])')
CONSTRAINTS = $(addprefix -c ,$(wildcard constraints/$(PY_TAG).txt))
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test check acceptance bench bundle fast-tests clean wheel

demo: $(INSTALLED)
	$(BIN)/edge-agent demo --out demo-out

test: $(DEVELOPED)
	@bash tests/system_packages.sh
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_docs.py

acceptance: $(DEVELOPED)
	@bash tests/system_packages.sh
	$(BIN)/python -m pytest tests -m "acceptance or promise" -n 3 --dist load --maxschedchunk 1 \
	  -rA --durations 20

# make bench VIDEO=yard.avi MODEL=yolov8n_192.tflite: every claim of docs/performance.md in one table.
# LONG=1 adds the million frames and the million events (an hour).
bench: $(DEVELOPED)
	$(BIN)/python benchmarks/table.py $(if $(VIDEO),--video "$(VIDEO)") $(if $(MODEL),--model "$(MODEL)") $(if $(LONG),--long)

# The tests that need neither a broker nor long runs, on another Python: make fast-tests PYTHON=python3.13 VENV=.venv313
fast-tests: $(DEVELOPED)
	$(BIN)/python -m pytest -m "not slow and not acceptance" -n 2 --dist worksteal

# make bundle ARCH=aarch64 PY=3.11: everything that a device without a network needs, in one tar in dist/
bundle: $(DEVELOPED)
	$(BIN)/python tools/bundle.py "$(ARCH)" "$(PY)"

wheel: $(DEVELOPED)
	$(PIP) wheel --no-deps -w dist .

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; say which to use: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints/py311.txt constraints/py312.txt constraints/py313.txt | $(BIN)/python
	$(PIP) install $(CONSTRAINTS) -e .
	@touch $@

$(DEVELOPED): $(INSTALLED)
	$(PIP) install $(CONSTRAINTS) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-out .mypy_cache .ruff_cache .pytest_cache
