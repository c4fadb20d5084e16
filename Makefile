# make demo    a Compose file on three Docker hosts, all of them on this machine
# make test    everything that CI runs; sets up what it needs
# make check   the quick checks, without engines
# make fuzz    60,000 odd inputs through the loader and the translation
# make clean   takes the demo's cluster down and removes what the checks left

PY := .venv/bin/python
BIN := .venv/bin

.PHONY: demo test check format lint unit fuzz bench-compose bench-config docs clean

demo: setup
	@scripts/demo.sh

test: setup lint
	$(PY) -m pytest -n 2 --dist loadfile --require-real tests

check: .venv/made lint unit

unit:
	$(PY) -m pytest -q -n 2 -m "not real and not slow" tests

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: .venv/made
	$(PY) tests/fuzz/run.py

bench-compose: setup
	$(PY) tests/bench/compose.py

# orch config beside Docker Compose's on 10,000 lines: wall time, the load's own CPU time, memory
bench-config: .venv/made
	$(PY) -m tests.bench.config

docs: .venv/made
	$(PY) scripts/reference.py
	$(PY) scripts/compose_reference.py
	$(PY) scripts/errors_reference.py
	$(PY) scripts/schema.py

.PHONY: setup
setup:
	@scripts/setup.sh

.venv/made: pyproject.toml
	@scripts/setup.sh --no-packages

clean:
	@scripts/clean.sh
