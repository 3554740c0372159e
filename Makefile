# Every target makes what it needs first: on a machine with Python 3.11 or newer, start with `make demo`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools

.DEFAULT_GOAL := help
.PHONY: help demo run test partners lint types bench soak docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(RUNTIME)  ## a tracker, a seed and two leeches on this machine (SHARE=path to share your own files)
	$(BIN)/python docs/examples/demo.py $(if $(SHARE),"$(SHARE)")

run: $(RUNTIME)  ## a tracker and a peer in one process, until Ctrl-C
	$(BIN)/twistd --nodaemon --pidfile= --python conf/suite.tac

test: $(TOOLS)  ## pytest and trial; real clients are used where they are installed, and named where not
	$(BIN)/python -m pytest
	$(BIN)/trial --temp-directory=_trial_temp tests

partners: $(TOOLS)  ## install the programs that tests/interop and bench talk to (needs root)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[partners]'
	$(BIN)/python -m tests.interop.partners install

lint: $(TOOLS)  ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TOOLS)  ## mypy, strict
	$(BIN)/mypy

bench: $(TOOLS)  ## the figures of docs/measurements.md, measured here (about 30 minutes)
	$(BIN)/python -m bench.transfer
	$(BIN)/python -m bench.transfer --disk . --runs 3 --only bittwist,libtorrent,libtorrent-tuned
	$(BIN)/python -m bench.swarm
	$(BIN)/python -m bench.create
	$(BIN)/python -m bench.floor
	$(BIN)/python -m bench.tracker
	$(BIN)/python -m bench.tracker_growth
	$(BIN)/python -m bench.tracker_workers

soak: $(TOOLS)  ## the hostile-input tests at full size, with their ceilings in time and memory
	BITTWIST_SOAK=1 $(BIN)/python -m pytest -k "not interop" -o timeout=1800

docs: $(TOOLS)  ## the documentation, into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

clean:  ## remove what the other targets made, but for the environment
	rm -rf docs/_build build dist _trial_temp* tests.*/ .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Debian ships venv apart from Python; as root it is installed when it is missing.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); apt-get update -qq && apt-get install -y -qq python3-venv; \
	$(PYTHON) -m venv $(VENV); }

$(RUNTIME): pyproject.toml setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TOOLS): pyproject.toml setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[tracker,test,lint,docs]'
	@touch $(RUNTIME) $@
