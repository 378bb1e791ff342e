# Everything that is done to this checkout. `make help` lists it.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
PYTEST := $(RUN) -m pytest
#: Whose branches `make cover` counts; COVERED=tests counts those of the installed command too, for longer.
COVERED ?= tests/unit
#: Of each target of `make fuzz`.
FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help setup tools demo fmt lint types layers unit integration e2e e2e-vllm test judges check cover bench fuzz pictures completions man build installs sbom clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

setup: $(VENV)/.ready ## Make the virtual environment with everything that development needs

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "oci-pull needs Python 3.11 or later: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python has no venv: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade 'pip>=25.1'
	$(RUN) -m pip install --quiet --editable . --group dev
	@touch $@

tools: setup ## Fetch the registry and the web server that tests and the demonstration use
	@$(RUN) -m tests.servers.debian docker-registry nginx

demo: tools ## Pull a real model from a registry on this machine, with a token, and show it
	@$(RUN) -m tests.demo

fmt: setup ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lint: setup ## Check style and spelling
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/codespell oci_pull tests docs examples README.md CHANGELOG.md Makefile

types: setup ## Check types
	$(VENV)/bin/mypy

layers: setup ## Check who imports whom
	$(VENV)/bin/lint-imports

unit: setup ## Run the tests that need nothing but Python
	$(PYTEST) tests/unit

integration: tools ## Run the tests against real registries
	$(PYTEST) tests/integration

e2e: tools ## Run the tests of the installed command
	$(PYTEST) tests/e2e

e2e-vllm: tools ## Serve real models with vLLM on the CPU: 10 GB, ten minutes or more
	@$(RUN) -m tests.e2e.vllm

test: tools ## Run all tests; what a missing program makes impossible is said
	$(PYTEST) --durations=20 --durations-min=5

judges: setup ## Fetch what the recipes of the documentation are checked with
	$(RUN) -m pip install --quiet --group judges
	$(RUN) -m pip install --quiet --no-deps kserve
	@$(RUN) -m tests.servers.debian buildah systemd-analyze

check: lint types layers installs judges ## What CI runs: everything, and nothing may be skipped
	$(RUN) -m tests.servers.debian docker-registry nginx skopeo zsh fish mkfs.btrfs
	OCI_PULL_TEST_NO_SKIPS=1 $(MAKE) --no-print-directory test

cover: tools ## Run the unit tests and say which branches they miss; below 95 per cent is a failure
	$(PYTEST) $(COVERED) --cov --cov-branch --cov-report=term-missing:skip-covered
	$(RUN) -m coverage report --skip-covered --fail-under=100 --include='oci_pull/oci/*,oci_pull/packaging/*'

bench: tools ## Measure the command beside others, for half an hour; writes docs/benchmarks.md
	@$(RUN) -m tests.bench --write

fuzz: setup ## Search for input that breaks a parser, FUZZ_SECONDS=600 for each
	$(RUN) -m pip install --quiet atheris
	for target in archive manifest challenge; do \
	  $(RUN) -m tests.fuzz.run $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; done

pictures: setup ## Draw what a terminal shows of real pulls, for the pages
	@$(RUN) -m tests.screens docs/pictures

completions: setup ## Write the completions of bash, zsh and fish from the commands as they are
	@$(RUN) -m oci_pull.cli.manual completions

man: setup ## Write the man page and the reference from the commands as they are
	@$(RUN) -m oci_pull.cli.manual man

build: setup ## Build the wheel and the source distribution
	rm -rf dist
	$(RUN) -m build --outdir dist . > /dev/null
	$(RUN) -m twine --no-color check --strict dist/*
	@ls dist

installs: build ## Install the wheel with each Python that is here, and with the lowest dependencies
	@$(RUN) -m tests.installs dist/*.whl

sbom: build ## Write what is in an installation of the wheel, in CycloneDX, beside it
	rm -rf build/sbom
	$(PYTHON) -m venv build/sbom/of
	build/sbom/of/bin/python -m pip install --quiet dist/*.whl
	build/sbom/of/bin/python -m pip uninstall --quiet --yes pip setuptools
	$(PYTHON) -m venv build/sbom/by
	build/sbom/by/bin/python -m pip install --quiet 'cyclonedx-bom>=7'
	# The version is written down in the package, and there alone.
	sed "s/^dynamic = .*/version = \"$$(build/sbom/of/bin/oci-pull -V | cut -d' ' -f2)\"/" \
	  pyproject.toml > build/sbom/pyproject.toml
	build/sbom/by/bin/cyclonedx-py environment --pyproject build/sbom/pyproject.toml \
	  --output-reproducible --output-file dist/oci-pull.cdx.json build/sbom/of/bin/python

clean: ## Remove everything that is not in the repository
	rm -rf $(VENV) .tools .fuzz build dist .coverage .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
