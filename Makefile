# Vaectrol. `make demo` and `make test` need nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# torch and the test workers share the cores; one thread each keeps two cores busy without fighting
JOBS ?= 2

.PHONY: demo test check fast lint bench docs release clean

demo: $(READY)
	$(BIN)/vaectrol demo -o demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow"

# mypy takes one core for half a minute when its cache is cold: the fast tests run beside it
check: $(READY)
	$(MAKE) -j2 --output-sync=target lint fast

fast: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "fast and not slow"

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	git ls-files '*.c' '*.h' '*.cpp' | xargs $(BIN)/clang-format --dry-run --Werror
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/vaectrol bench-all -o bench/results
	$(BIN)/python -m pytest bench --benchmark-only

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m docs.build_site

# files for those who have no Vaectrol: plug-ins, pages, programs, panels, checksums
release: $(READY)
	$(BIN)/python -m workflow.release -o dist

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment: made when missing, renewed when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Vaectrol needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)
