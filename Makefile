# Every command first makes the environment it needs in $(VENV), from a bare $(PYTHON); nothing has to be activated.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-output
MODEL ?=
FIXED ?=
MOVING ?=
PYTEST_ARGS ?=
# A process for each processor, as each computes by one thread and takes up to 2 GB, and two more, as many wait for the
# processes that they start. Whoever is done takes tests from the others.
PROCESSES = $(shell $(RUN) -c "import os; print(min((os.cpu_count() or 1) + 2, 4))")
PARALLEL ?= -n $(PROCESSES) --dist worksteal
BENCH_ARGS ?=

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help demo test lint bench bench-peers cmake-lists versions forms pictures

VERSION := $(shell "$(PYTHON)" -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null)
RUN = "$(VENV)/bin/python"

help:
	@echo "make demo         register a sample pair, or FIXED=a.nii.gz MOVING=b.nii.gz, with MODEL=id, into OUT=folder"
	@echo "make test         run the tests; PYTEST_ARGS=\"-k affine\" chooses some,"
	@echo "                  PYTEST_ARGS='-m \"not slow\"' those that take a moment; PARALLEL= runs one after the other"
	@echo "make lint         check style, formatting and types"
	@echo "make bench        measure speed and memory"
	@echo "make bench-peers  compare with other programs; BENCH_ARGS=\"--peers-python PYTHON\" names a Python that has them"
	@echo "make cmake-lists  write the file lists of the CMake files from the disk"
	@echo "make versions     write the version of the library into the files that repeat it"
	@echo "make forms        write the forms of the commands (.xml) from their options"
	@echo "make pictures     draw the pictures of README and catalogue anew; registers the sample pair, for minutes"
	@echo "All take PYTHON=python3.12 (now $(PYTHON), $(VERSION)) and VENV=folder (now $(VENV))."

demo: $(VENV)/demo.stamp
	@PYTHONPATH=VoxelMorphSlicer $(RUN) -m VoxelMorphLib.cli.demo --out "$(OUT)" \
		$(if $(FIXED),--fixed "$(FIXED)") $(if $(MOVING),--moving "$(MOVING)") $(if $(MODEL),--model "$(MODEL)")

test: $(VENV)/test.stamp
	@$(RUN) -m pytest $(PARALLEL) $(PYTEST_ARGS)

lint: $(VENV)/test.stamp
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

bench: $(VENV)/test.stamp
	@PYTHONPATH=VoxelMorphSlicer:Testing $(RUN) -m benchmarks $(BENCH_ARGS)

bench-peers: $(VENV)/test.stamp
	@PYTHONPATH=VoxelMorphSlicer:Testing $(RUN) -m benchmarks.peers $(BENCH_ARGS)

pictures: $(VENV)/test.stamp
	@VXM_SCREENSHOTS=1 $(RUN) -m pytest Testing/gui/test_panel_pictures.py

cmake-lists:
	@"$(PYTHON)" tools/cmake_lists.py

versions:
	@"$(PYTHON)" tools/versions.py

forms:
	@"$(PYTHON)" tools/cli_forms.py

# Names the packages as pip reaches them; its errors and its exit status come through.
define install
	@echo "Installing what $(1) lists; the first time takes minutes"
	@$(RUN) -m pip install --disable-pip-version-check --no-input -r $(1) \
		| awk '/^Collecting/ {print "  " $$2; fflush()} /^Installing/ {print "  unpacking"; fflush()}'
	@touch $@
endef

# Another PYTHON makes the environment anew, stamps included.
$(VENV)/python-$(VERSION):
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>/dev/null || \
		{ echo "PYTHON=$(PYTHON) is no Python of version 3.10 or newer. Name one: make ... PYTHON=python3.12"; exit 1; }
	@echo "Creating $(VENV) with Python $(VERSION)"
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@touch $@

$(VENV)/demo.stamp: requirements.txt VoxelMorphSlicer/Resources/requirements.txt $(VENV)/python-$(VERSION)
	$(call install,requirements.txt)

$(VENV)/test.stamp: requirements-test.txt $(VENV)/demo.stamp
	$(call install,requirements-test.txt)
