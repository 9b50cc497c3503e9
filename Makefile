# Two commands do everything, set-up included: `make demo` and `make test`.
# PYTHON chooses the interpreter (3.11 or newer); each environment is built once and reused while
# pyproject.toml and its constraints file stay the same.

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= all,dev
STACK ?= $(shell $(PYTHON) -c 'import sys; print(f"py{sys.version_info.major}.{sys.version_info.minor}")')
CONSTRAINTS ?= constraints/$(STACK).txt
PINNED := $(wildcard $(CONSTRAINTS))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(STACK)
PYTEST_ARGS ?=
# Least coverage (%); the core alone does not reach that of the whole.
COVERAGE_FLOOR ?= 90
VERSION := 'import sys; print(sys.version_info[:2])'

.PHONY: demo test test-smoke test-matrix lint types check constraints clean

$(STAMP): pyproject.toml $(PINNED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "torchgeo-copernicus needs Python 3.11 or newer; choose one with PYTHON=...")'
	@if ! [ -e $(VENV)/pyvenv.cfg ]; then $(PYTHON) -m venv $(VENV); \
	elif [ "$$($(BIN)/python -c $(VERSION) 2>/dev/null)" != "$$($(PYTHON) -c $(VERSION))" ]; then \
		echo "== $(VENV) is of another Python than $(PYTHON): building it anew."; \
		$(PYTHON) -m venv --clear $(VENV); fi
	@test -n "$(PINNED)" || echo "== No tested set of versions for $(STACK) (there are: $$(ls constraints)): installing the newest ones."
	$(BIN)/python -m pip install --quiet --upgrade "$(if $(PINNED),$$(grep '^uv==' $(PINNED)),uv)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(addprefix --constraint ,$(PINNED)) --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)  ## train, test and picture Copernicus-FM on a look-alike Cloud-S2, end to end
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh

test: $(STAMP)  ## the whole suite with coverage
	COVERAGE_FLOOR=$(COVERAGE_FLOOR) bash scripts/test.sh $(BIN)/python $(PYTEST_ARGS)

test-smoke: $(STAMP)  ## registration, golden outputs, one YAML
	$(BIN)/python -m pytest -m smoke $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

check: lint types test

# All stacks: Python 3.11 and 3.12 with TerraTorch, the core alone with the newest TorchGeo, and
# SSL4EO-S12 with the last zarr of the old API.
PYTHON311 ?= $(shell bash scripts/find_python.sh 3.11)
PYTHON312 ?= $(shell bash scripts/find_python.sh 3.12)
test-matrix:
	@test -n "$(PYTHON311)" || { echo "No Python 3.11 found; set PYTHON311=..."; exit 1; }
	@test -n "$(PYTHON312)" || { echo "No Python 3.12 found; set PYTHON312=..."; exit 1; }
	$(MAKE) test PYTHON=$(PYTHON311) VENV=.venv-py3.11
	$(MAKE) test PYTHON=$(PYTHON312) VENV=.venv-py3.12
	$(MAKE) test PYTHON=$(PYTHON312) VENV=.venv-core STACK=py3.12-core EXTRAS=dev,convert,embed COVERAGE_FLOOR=0
	$(MAKE) test PYTHON=$(PYTHON311) VENV=.venv-zarr2 STACK=py3.11-zarr2 EXTRAS=dev,convert COVERAGE_FLOOR=0 \
		PYTEST_ARGS='tests/datasets/ssl4eo tests/datamodules/test_ssl4eo_v11.py'

# Re-resolves the constraints files (run by hand, then commit the result).
constraints:
	bash scripts/constraints.sh

clean:
	rm -rf .venv .venv-* outputs/demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
