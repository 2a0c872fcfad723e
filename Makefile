# Two commands do everything: `make forecast` and `make test`. Both make .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin
OLD := .venv-pandas2

.PHONY: forecast test slow pandas2 format clean

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

pandas2: $(OLD)/installed  ## the fast tests with the oldest pandas that is allowed
	$(OLD)/bin/python -m pytest -n 2 --dist worksteal

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

# everything of .venv, with another pandas before it on the path
$(OLD)/installed: .venv/tested
	$(BIN)/python -m venv --clear $(OLD)
	$(OLD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "pandas==2.2.*" pytz
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(OLD)/bin/python -c "import site; print(site.getsitepackages()[0])")/venv.pth
	touch $@

clean:
	rm -rf .venv $(OLD) build *.egg-info runs/first forecast.csv forecast.png
