# The grader ELT. `make` alone lists what there is; every target first prepares what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
ELT := $(BIN)/python -m orchestration
WINDOW = $(if $(START),--start "$(START)") $(if $(END),--end "$(END)")
WAITING = $(if $(WAIT),--wait)

.PHONY: help run ingest build deliver metrics check docs db db-stop psql roles test lint format bench torture audit lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(BIN)/dbt ## the whole pipeline: ingest, build, deliver (START= END= for a window; WAIT=1)
	@$(ELT) run $(WINDOW) $(WAITING)

ingest: $(BIN)/dbt ## load the API's records into the raw schema (START= END=, WAIT=1)
	@$(ELT) ingest $(WINDOW) $(WAITING)

build: $(BIN)/dbt ## build and test the models (FULL_REFRESH=1 from raw, WAIT=1)
	@$(ELT) build $(if $(FULL_REFRESH),--full-refresh) $(WAITING)

deliver: $(BIN)/dbt ## write the spreadsheet and send the mail from the marts (WAIT=1)
	@$(ELT) deliver $(WAITING)

metrics: $(BIN)/dbt ## the metrics of a window: START= END= (JSON=1 for one JSON object)
	@$(ELT) metrics $(WINDOW) $(if $(JSON),--json)

check: $(BIN)/dbt ## verify the settings and reach every outside party, changing nothing
	@$(ELT) check

docs: $(BIN)/dbt ## build the docs site into out/docs.html and serve it (PORT=8080, SERVE=0)
	@$(ELT) docs $(if $(PORT),--port $(PORT)) $(if $(filter 0,$(SERVE)),--no-serve)

db: $(BIN)/dbt ## start the embedded PostgreSQL and say how to connect
	@$(ELT) db

db-stop: $(BIN)/dbt ## stop the embedded PostgreSQL
	@$(ELT) db-stop

psql: $(BIN)/dbt ## open psql on the warehouse
	@$(ELT) psql

roles: $(BIN)/dbt ## SQL for least-privilege roles (APPLY=1 runs it)
	@$(ELT) roles $(if $(APPLY),--apply)

test: $(BIN)/pytest ## run every test
	@$(BIN)/python -m pytest

lint: $(BIN)/pytest ## code style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

torture: $(BIN)/pytest ## the long fault tests, with a report of counts in out/torture.md
	@FAULTS=long $(BIN)/python -m pytest tests/faults

format: $(BIN)/pytest ## put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(BIN)/dbt ## measure the product beside its peers into out/bench.md (FULL=1 for the large sizes, HISTORIES=50000,500000)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt >&2
	@$(BIN)/python -m tests.bench $(if $(FULL),--full) $(if $(HISTORIES),--histories $(HISTORIES))

audit: $(BIN)/pytest ## look for known vulnerabilities in the pinned packages
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.txt

lock: ## renew the pinned versions and hashes from requirements*.in (needs uv)
	uv pip compile -q --upgrade --no-strip-extras --universal --generate-hashes --python-version 3.10 --no-header --no-annotate -o requirements.txt requirements.in
	uv pip compile -q --upgrade --no-strip-extras --universal --generate-hashes --python-version 3.10 --no-header --no-annotate -o requirements-dev.txt requirements-dev.in
	uv pip compile -q --upgrade --no-strip-extras --universal --generate-hashes --python-version 3.10 --no-header --no-annotate -o requirements-bench.txt requirements-bench.in

clean: db-stop ## remove what was made here, the embedded database and its data included
	rm -rf .venv .state out logs dbt_project/target dbt_project/logs

# The virtual environment. `dbt` in it is replaced by one that knows the project's settings.
$(BIN)/dbt: requirements.txt orchestration/build/dbt.sh
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 10) <= v[:2] <= (3, 13) else f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || { echo "making the virtual environment .venv" >&2; $(PYTHON) -m venv .venv; }
	@echo "installing the pinned packages" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt >&2
	@rm -f $(BIN)/dbt && cp orchestration/build/dbt.sh $(BIN)/dbt && chmod 755 $(BIN)/dbt

$(BIN)/pytest: requirements-dev.txt $(BIN)/dbt
	@echo "installing the packages for tests" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt >&2
	@touch $(BIN)/pytest
