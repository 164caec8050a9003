# Two commands for a newcomer: `make demo` and `make test`. Both make their own virtual environment in .venv.

PYTHON ?= python3
VENV   ?= .venv
OUTPUT ?= build/demo
BIN    := $(VENV)/bin

.PHONY: demo test nightly lint docs clean

demo: $(VENV)/.installed
	$(BIN)/mbps build --recipe demo --output $(OUTPUT)
	$(BIN)/mbps eval $(OUTPUT) --split validation
	$(BIN)/mbps preview $(OUTPUT) --split validation
	$(BIN)/mbps predict --weights builtin --source scenes --split validation --output $(OUTPUT)-predicted
	$(BIN)/mbps preview $(OUTPUT)-predicted --split validation
	$(BIN)/mbps eval $(OUTPUT) $(OUTPUT)-predicted --split validation

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

nightly: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --nightly

lint: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy mbps_dataset

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps panopticapi-lite==0.2.0  # its pins refuse numpy 2
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@
