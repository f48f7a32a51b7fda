# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# The release whose CPU build is enough everywhere; set TORCH=torch to take the newest.
TORCH  ?= torch==2.13.0

.PHONY: demo test test-all lint format bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/isl demo --output isl-demo --overwrite

test: $(VENV)/developing lint
	$(BIN)/pytest -m "not slow" --cov=isl --cov-report=term

test-all: $(VENV)/developing lint
	$(BIN)/pytest --cov=isl --cov-report=term

lint: $(VENV)/developing
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

format: $(VENV)/developing
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

bench: $(VENV)/developing
	$(BIN)/python benchmarks/inference.py all --write docs/benchmarks.md

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[formats,tune,cluster,openvino,remote]" --group dev
	touch $@

clean:
	rm -rf $(VENV) isl-demo dist build
