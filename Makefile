# Two commands do everything: `make forecast` and `make test`. Both make .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: forecast test slow format clean

forecast: .venv/installed  ## train on the built-in sample, print and save the forecast and its picture
	$(BIN)/python -m tsattn.train dataset=image_counts horizon=14 output=runs/first
	$(BIN)/python -m tsattn.predict dataset=image_counts load=runs/first output=forecast.csv plot=forecast.png

test: .venv/tested  ## ruff, pyright and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: .venv/tested  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow --durations=10

format: .venv/tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@

clean:
	rm -rf .venv build *.egg-info runs multirun forecast.csv forecast.png
