# The grader ELT. `make` alone lists what there is; every target first prepares what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
ELT := $(BIN)/python -m orchestration
WINDOW = $(if $(START),--start "$(START)") $(if $(END),--end "$(END)")
WAITING = $(if $(WAIT),--wait)

.PHONY: help run ingest build deliver metrics report query status history check docs lineage db db-stop psql forget roles test test-fast lint format bench torture audit messages lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(BIN)/dbt ## the whole pipeline: ingest, build, deliver (START= END= for a window; WAIT=1)
	@$(ELT) run $(WINDOW) $(WAITING)

ingest: $(BIN)/dbt ## load the API's records into the raw schema (START= END=, WAIT=1)
	@$(ELT) ingest $(WINDOW) $(WAITING)

build: $(BIN)/dbt ## build and test the models (FULL_REFRESH=1 from raw, WAIT=1)
	@$(ELT) build $(if $(FULL_REFRESH),--full-refresh) $(WAITING)

deliver: $(BIN)/dbt ## write the spreadsheet and the report, send the mail from the marts (WAIT=1)
	@$(ELT) deliver $(WAITING)

metrics: $(BIN)/dbt ## the metrics of a window: START= END= (JSON=1 for one JSON object)
	@$(ELT) metrics $(WINDOW) $(if $(JSON),--json)

report: $(BIN)/dbt ## write the report page out/report.html from the marts (OPEN=1 opens it)
	@$(ELT) report $(if $(OPEN),--open)

query: $(BIN)/dbt ## metrics by period, course, task: METRICS= BY= (CSV=1 or a file; ARGS=; alone: a list)
	@$(ELT) query $(if $(METRICS),--metrics "$(METRICS)") $(if $(BY),--group-by "$(BY)" --order "$(BY)") \
		$(if $(CSV),--csv "$(if $(filter 1,$(CSV)),/dev/stdout,$(CSV))") $(ARGS)

status: $(BIN)/dbt ## the last run, how fresh the data is, what is due (JSON=1; fails when somebody should look)
	@$(ELT) status $(if $(JSON),--json)

history: $(BIN)/dbt ## the runs of the last year (JSON=1)
	@$(ELT) history $(if $(JSON),--json)

check: $(BIN)/dbt ## verify the settings and reach every outside party, changing nothing
	@$(ELT) check

docs: $(BIN)/dbt ## build the docs site into out/docs.html and serve it (PORT=8080, SERVE=0)
	@$(ELT) docs $(if $(PORT),--port $(PORT)) $(if $(filter 0,$(SERVE)),--no-serve)

lineage: $(BIN)/dbt .venv/lineage/bin/dbdocs ## build the ERD and the lineage of columns into out/lineage and serve it (PORT=8080, SERVE=0)
	@$(ELT) lineage $(if $(PORT),--port $(PORT)) $(if $(filter 0,$(SERVE)),--no-serve)

db: $(BIN)/dbt ## start the embedded PostgreSQL and say how to connect
	@$(ELT) db

db-stop: $(BIN)/dbt ## stop the embedded PostgreSQL
	@$(ELT) db-stop

psql: $(BIN)/dbt ## open psql on the warehouse
	@$(ELT) psql

forget: $(BIN)/dbt ## remove a learner from the warehouse: USER_ID= (YES=1 without a terminal, WAIT=1)
	@$(ELT) forget --user-id='$(subst ','\'',$(USER_ID))' $(if $(YES),--yes) $(WAITING)

roles: $(BIN)/dbt ## SQL for least-privilege roles (APPLY=1 runs it)
	@$(ELT) roles $(if $(APPLY),--apply)

test: $(BIN)/pytest ## run every test
	@$(BIN)/python -m pytest

test-fast: $(BIN)/pytest ## run the tests that need no database server and no clone, in under a minute
	@$(BIN)/python -m pytest -m "not slow"

lint: $(BIN)/pytest ## check style, types, SQL, YAML and the length of lines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .
	@$(BIN)/sqlfluff lint --processes 0 --nocolor --disable-progress-bar dbt_project
	@$(BIN)/python -m pytest -n 0 tests/lint

format: $(BIN)/pytest ## fix the style of Python and SQL where a program can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix --processes 0 --nocolor --disable-progress-bar dbt_project

torture: $(BIN)/pytest ## run the long fault tests, with a report of counts in out/torture.md
	@FAULTS=long $(BIN)/python -m pytest tests/faults

bench: $(BIN)/dbt ## measure the product beside its peers into out/bench.md (FULL=1 for the large sizes, HISTORIES=50000,500000)
	@$(BIN)/python install.py requirements-bench.txt
	@$(BIN)/python -m tests.bench $(if $(FULL),--full) $(if $(HISTORIES),--histories $(HISTORIES))

audit: $(BIN)/pytest ## look for known vulnerabilities in the pinned packages
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.txt

messages: $(BIN)/pytest ## gather the texts to translate into the catalogues of orchestration/deliver/locale
	@$(BIN)/python -m babel.messages.frontend -q extract -F orchestration/deliver/locale/babel.cfg --no-default-keywords \
		-k text -k plural:1,2 -k mark --no-location --sort-output --omit-header -o .state/messages.pot .
	@$(BIN)/python -m babel.messages.frontend -q update --no-fuzzy-matching --ignore-obsolete --omit-header -l ru \
		-i .state/messages.pot -o orchestration/deliver/locale/ru.po

lock: ## pin versions and hashes from requirements*.in (UPGRADE=1 for the newest; needs uv)
	@for name in requirements requirements-dev requirements-bench requirements-lineage requirements-uv; do \
		uv pip compile -q $(if $(UPGRADE),--upgrade) --no-strip-extras --universal --generate-hashes --python-version 3.10 \
			--no-header --no-annotate -o $$name.txt $$name.in || exit 1; \
	done

# Where nothing was installed, no database was started.
clean: ## remove all that was made here, the embedded database with its data included
	@if [ -x $(BIN)/dbt ]; then $(ELT) db-stop; fi
	rm -rf .venv .state out logs dbt_project/target dbt_project/logs dbt_project/dbt_packages

# The virtual environment. `dbt` in it is replaced by one that knows the project's settings.
$(BIN)/dbt: requirements.txt orchestration/build/dbt.sh
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 10) <= v[:2] <= (3, 13) else "Python 3.10 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % v[:2])'
	@$(PYTHON) install.py requirements.txt
	@rm -f $(BIN)/dbt && cp orchestration/build/dbt.sh $(BIN)/dbt && chmod 755 $(BIN)/dbt

$(BIN)/pytest: requirements-dev.txt $(BIN)/dbt
	@$(BIN)/python install.py requirements-dev.txt
	@touch $(BIN)/pytest

.venv/lineage/bin/dbdocs: requirements-lineage.txt $(BIN)/dbt
	@$(BIN)/python install.py --target .venv/lineage requirements-lineage.txt
	@touch $@
