# The tasks of this project. `make help` lists them.
#
# The environment is $(VENV), made with $(PYTHON) and filled from constraints.txt, so that every machine
# runs the same versions. Stamps in it record the installed groups: while pyproject.toml and constraints.txt
# are unchanged, nothing is installed again, and nothing needs a network.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Test processes: two per core, because many ordinary tests wait; one per core for the heavy ones.
# WORKERS=0 runs the tests in one process, for a debugger.
test: WORKERS     ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
test-all: WORKERS ?= auto
# Extra arguments for pytest, such as "-x --durations 20".
PYTEST_ARGS ?=

# Neither tool may check for a newer version of itself: the versions are locked, and offline the check would hang.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Otherwise each test process, and each process that one starts, would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
# The plugin of schemathesis takes each test process half a second to import, and the tests use its command line only.
PYTEST  = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -p no:schemathesis

CHECK_PYTHON := import sys; sys.version_info >= (3, 11) or sys.exit( \
    "Python 3.11 or newer is needed, not " + sys.version.split()[0] + "; name one: make PYTHON=python3.12")

# The dependency groups of each environment, beside all extras, and the environments that it includes.
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

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

demo: $(VENV)/.installed-demo ## run the demo: an emulator and clients of three API versions, over real HTTP
	$(BIN)/lifecycle demo

# Only the tests of the core are traced, because tracing doubles the time of the others; they alone must cover it.
test: $(VENV)/.installed-test ## run all but the heavy tests, and require full branch coverage of the core
	$(PYTEST) --hypothesis-profile quick -m "not heavy" $(PYTEST_ARGS) tests/lifecycle --cov
	$(PYTEST) --hypothesis-profile quick -m "not heavy" $(PYTEST_ARGS) --ignore tests/lifecycle

test-all: $(VENV)/.installed-test-all ## run all tests, with more examples, and official clients, the API fuzzer and fresh installations
	$(PYTEST) $(PYTEST_ARGS)

format: $(VENV)/.installed-test ## format the code, and fix what the linter can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: $(VENV)/.installed-test ## check the formatting and lint
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.installed-test-all ## check the types with mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

diagrams: $(VENV)/.installed-demo ## draw the pictures of all declared lifecycles
	$(BIN)/python -m lifecycle_adapters.render diagrams

# Warnings are errors: a broken link, a page without a place in the contents, a docstring with invalid markup.
docs: $(VENV)/.installed-docs ## build the documentation site, docs/_build/index.html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

bench: $(VENV)/.installed-bench ## run the benchmarks against peer libraries
	$(BIN)/python -m benchmarks

# The tests check and install the files in dist/, which stay there for the upload.
release-check: $(VENV)/.installed-test ## build the wheel and the source distribution, check them, and install them in fresh environments
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist
	DIST=dist $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS) tests/test_packaging.py

# --- environments ---------------------------------------------------------------------------------

# An installation that was killed may be incomplete: to pip a package is installed as soon as its metadata
# exists. The file `.installing` survives a kill, and the next installation then starts from an empty environment.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -c '$(CHECK_PYTHON)' && $(PYTHON) -m venv --clear $(VENV); \
	fi
	@echo "Installing the packages for 'make $*' into $(VENV); this happens once and takes a minute ..."
	@touch $(VENV)/.installing
	@$(INSTALL) --upgrade pip && $(INSTALL) --build-constraint constraints.txt --editable '.[all]' $(GROUPS_$*) || { \
	    rm $(VENV)/.installing; \
	    echo "The installation failed. Check that pip can reach a package index; only this step and 'make lock' need"; \
	    echo "a network."; \
	    exit 1; \
	} >&2
	@touch $(HOLDS_$*:%=$(VENV)/.installed-%)
	@rm $(VENV)/.installing

# The newest versions that pyproject.toml allows, on the oldest Python: newer ones need fewer packages.
lock: ## write the newest allowed versions to constraints.txt
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && set -e; \
	$(PYTHON) -m venv "$$new"; \
	"$$new/bin/python" -m pip install --quiet --upgrade 'pip>=26,<27'; \
	"$$new/bin/python" -m pip install --quiet --editable '.[all]' --group test-all; \
	{ echo '# The versions in every environment of this project. Written by `make lock`; do not edit.'; \
	  "$$new/bin/python" -m pip freeze --all --exclude setuptools --exclude-editable; } > "$$new/constraints.txt"; \
	cp "$$new/constraints.txt" constraints.txt

clean: ## remove the environment and all generated files except the pictures
	@if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf build dist docs/_build htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find adapters benchmarks docs lifecycle tests -name __pycache__ -prune -exec rm -rf {} +
