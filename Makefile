# Two commands do everything by themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test lint types notebooks faults bench bench-full bench-encode bench-accept bench-panel pictures clean

demo: $(READY)
	$(BIN)/python notebooks/demo.py

# Two files at a time on two cores; a file's tests share what they have started. Those in a browser come alone.
test: lint types
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --ignore tests/browser
	$(BIN)/python -m pytest tests/browser

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

# How fast rows become payloads. Not a test: a number on a busy machine says nothing.
bench-encode: $(READY)
	$(BIN)/python benchmarks/encode.py

# What faults come to, with real processes and a faulty network. Takes minutes; FAULTS=--write puts the table into
# docs/reliability.md.
faults: $(READY)
	$(BIN)/python benchmarks/faults.py $(FAULTS)

# How many requests a second the local endpoint accepts.
bench-accept: $(READY)
	$(BIN)/python tests/local/bench_accept.py

# Ours beside what people use, in one run; on a quiet machine only. BENCH=--write puts tables and plot into docs. A
# quarter of an hour; bench-full takes two hours.
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench.py $(BENCH)

bench-full: $(VENV)/.bench
	$(BIN)/python benchmarks/bench.py --full $(BENCH)

bench-panel: $(READY)
	$(BIN)/python benchmarks/panel.py

# The pictures of the panel for README and docs; needs chromium.
pictures: $(READY)
	$(BIN)/python benchmarks/pictures.py

# Run the notebooks again and keep their outputs, which the tests compare with nothing but their own assertions.
notebooks: $(READY)
	$(BIN)/jupyter execute --inplace notebooks/*.ipynb

# Made anew when the dependencies change; otherwise there already.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sm-async-nb needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV) .ci/venvs .mypy_cache .pytest_cache .ruff_cache .hypothesis
