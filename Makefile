# Everything that is done to this project, by name. `make help` lists it.
#
# The environment is $(VENV), made with $(PYTHON) and filled from constraints.txt, so that every machine
# runs the same versions. A stamp in it says what is installed: while pyproject.toml and constraints.txt
# are unchanged nothing is installed again, and nothing needs a network.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Test processes. Many of the ordinary tests wait, so that there are two for each core; the heavy ones need a core each.
# WORKERS=0 runs the tests in one process, for a debugger.
test: WORKERS     ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
test-all: WORKERS ?= auto
# Further arguments for pytest, such as "-x --durations 20".
PYTEST_ARGS ?=

# Neither tool is to look for a newer version of itself: what is locked is wanted, and offline they would wait.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Each of the test processes, and each process that they start, would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
PYTEST  = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

CHECK_PYTHON := import sys; sys.version_info >= (3, 11) or sys.exit( \
    "Python 3.11 or newer is needed, not " + sys.version.split()[0] + "; name one: make PYTHON=python3.12")

# What an environment holds besides every extra, and which environments it can stand in for.
GROUPS_demo     :=
GROUPS_docs     := --group docs
GROUPS_bench    := --group bench
GROUPS_test     := --group test
GROUPS_test-all := --group test-all
HOLDS_demo      := demo
HOLDS_docs      := demo docs
HOLDS_bench     := demo bench
HOLDS_test      := demo test
HOLDS_test-all  := demo test bench docs test-all

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all format lint types diagrams docs bench release-check lock clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

demo: $(VENV)/.installed-demo ## see it at work: an emulator, three tasks, real HTTP; ends by itself
	$(BIN)/lifecycle demo

# The core is covered by its own tests, and only they are traced: tracing doubles the time of the others.
test: $(VENV)/.installed-test ## the tests but the heavy ones, and full branch coverage of the core
	$(PYTEST) --hypothesis-profile quick -m "not heavy" $(PYTEST_ARGS) tests/lifecycle --cov
	$(PYTEST) --hypothesis-profile quick -m "not heavy" $(PYTEST_ARGS) --ignore tests/lifecycle

test-all: $(VENV)/.installed-test-all ## all tests, with more examples: also foreign clients, the API fuzzer, fresh installs
	$(PYTEST) $(PYTEST_ARGS)

format: $(VENV)/.installed-test ## write the code as the linter wants it
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: $(VENV)/.installed-test ## formatting and lint, changing nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.installed-test-all ## strict types, by two checkers
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

diagrams: $(VENV)/.installed-demo ## draw every declared lifecycle anew
	$(BIN)/python -m lifecycle_adapters.render diagrams

# A warning is an error: a link that leads nowhere, a page that is in no list of contents, a docstring that is no text.
docs: $(VENV)/.installed-docs ## build the documentation site: docs/_build/index.html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

bench: $(VENV)/.installed-bench ## measure against the peers installed beside it
	$(BIN)/python -m benchmarks

# What is built stays in dist/, and it is what the tests look at and install.
release-check: $(VENV)/.installed-test ## build what is published, check it, and try it in fresh environments
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist
	DIST=dist $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS) tests/test_packaging.py

# --- environments ---------------------------------------------------------------------------------

# An installation that was killed half-way cannot be trusted: pip takes a package for installed as soon as
# its metadata is there. `.installing` outlives a kill, and the next one starts from nothing.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -c '$(CHECK_PYTHON)' && $(PYTHON) -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV) what 'make $*' needs; this is done once and takes a minute ..."
	@touch $(VENV)/.installing
	@$(INSTALL) --upgrade pip && $(INSTALL) --build-constraint constraints.txt --editable '.[all]' $(GROUPS_$*) || { \
	    rm $(VENV)/.installing; \
	    echo "The installation failed. Is there a network, and a package index that pip can reach? This is the one"; \
	    echo "step that needs them: once it has succeeded, everything but 'make lock' works offline."; \
	    exit 1; \
	} >&2
	@touch $(HOLDS_$*:%=$(VENV)/.installed-%)
	@rm $(VENV)/.installing

# The newest versions that pyproject.toml allows, on the oldest Python: newer ones need fewer packages.
lock: ## choose the newest allowed versions anew and write them to constraints.txt
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && set -e; \
	$(PYTHON) -m venv "$$new"; \
	"$$new/bin/python" -m pip install --quiet --upgrade 'pip>=26,<27'; \
	"$$new/bin/python" -m pip install --quiet --editable '.[all]' --group test-all; \
	{ echo '# What every environment of this project is made of. Written by `make lock`; do not edit.'; \
	  "$$new/bin/python" -m pip freeze --all --exclude setuptools --exclude-editable; } > "$$new/constraints.txt"; \
	cp "$$new/constraints.txt" constraints.txt

clean: ## remove the environment and everything else that is made, but not the pictures
	@if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf build dist docs/_build htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find adapters benchmarks docs lifecycle tests -name __pycache__ -prune -exec rm -rf {} +
