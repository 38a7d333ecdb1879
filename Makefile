# make run    the default run, from nothing to results/default/report.html
# make test   every test that needs nothing else; make test-faults, test-envs, test-slurm for those that do
# Both make the environment in .venv first if it is missing. PIP_ARGS goes to pip (an index, a proxy);
# SNAKEMAKE_ARGS to snakemake (make run SNAKEMAKE_ARGS='--configfile config/phenopackets.yaml').

PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || echo 2)
PIP_ARGS ?=
SNAKEMAKE_ARGS ?=
SLURM_TESTS ?= tests/cluster

export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export TRL_EXPERIMENTAL_SILENCE := 1
export TOKENIZERS_PARALLELISM := false
export PATH := $(abspath $(VENV))/bin:$(PATH)

READY := $(VENV)/.ready-$(shell cksum < requirements.txt | cut -d' ' -f1)

.PHONY: help env run test test-faults test-envs test-slurm lint format clean

help:
	@sed -n '1,4s/^# //p' Makefile

env: $(READY)

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mintflow needs Python 3.11 or newer; set PYTHON=...")'
	@echo "Making the environment in $(VENV), about two minutes ..."
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --prefer-binary $(PIP_ARGS) torch==2.13.0
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --prefer-binary $(PIP_ARGS) -r requirements.txt
	@touch $@

run: env
	$(VENV)/bin/python workflow/scripts/clear_stale_lock.py
	$(VENV)/bin/snakemake --cores $(CORES) $(SNAKEMAKE_ARGS)

test: env
	$(VENV)/bin/python -m pytest

# Breaks disks, clocks, downloads and files; as root, or the full disk is left out.
test-faults: env
	MINTFLOW_FAULTS=1 $(VENV)/bin/python -m pytest tests/faults

# Each rule in an environment of its own, with a stand-in for conda.
test-envs: env
	MINTFLOW_ENVS=1 $(VENV)/bin/python -m pytest tests/deployment

# A Slurm of its own on this machine; as root, on Debian or Ubuntu, where no other Slurm is.
test-slurm: env
	sh tests/cluster/install.sh
	MINTFLOW_SLURM=1 $(VENV)/bin/python -m pytest $(SLURM_TESTS)

lint: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/snakefmt --check Snakefile workflow/Snakefile rules
	$(VENV)/bin/snakemake --lint

format: env
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/snakefmt Snakefile workflow/Snakefile rules

clean:
	rm -rf $(VENV)
