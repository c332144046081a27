# The grader ELT. `make` alone lists what there is; every target first prepares what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
ELT := $(BIN)/python -m orchestration
WINDOW = $(if $(START),--start "$(START)") $(if $(END),--end "$(END)")
WAITING = $(if $(WAIT),--wait)

.PHONY: help run ingest build deliver metrics report query status history check docs lineage db db-stop db-upgrade psql forget roles schedule unschedule backup restore test test-fast lint format bench torture audit pictures messages lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(BIN)/dbt ## the whole pipeline: ingest, build, deliver (START= END= for a window; WAIT=1, VERBOSE=1)
	@$(ELT) run $(WINDOW) $(WAITING)

ingest: $(BIN)/dbt ## load the API's records into the raw schema (START= END=, WAIT=1)
	@$(ELT) ingest $(WINDOW) $(WAITING)

build: $(BIN)/dbt ## build and test the models (FULL_REFRESH=1 from raw, WAIT=1)
	@$(ELT) build $(if $(FULL_REFRESH),--full-refresh) $(WAITING)

deliver: $(BIN)/dbt ## write the spreadsheet and the report, send the mail (WAIT=1; DRY_RUN=1 only shows changes; MAIL=0)
	@$(ELT) deliver $(WAITING) $(if $(filter-out 0,$(DRY_RUN)),--dry-run)

metrics: $(BIN)/dbt ## the metrics of START= END=, of DAY=, or FROM= TO= (BY=course_key or task_id; JSON=1; SHEET=1 keeps the window)
	@$(ELT) metrics $(WINDOW) $(if $(DAY),--day "$(DAY)") $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") \
		$(if $(BY),--by "$(BY)") $(if $(JSON),--json) $(if $(filter-out 0,$(SHEET)),--sheet)

report: $(BIN)/dbt ## write the report page out/report.html from the marts (OPEN=1 opens it)
	@$(ELT) report $(if $(OPEN),--open)

query: $(BIN)/dbt ## metrics by period, course, task: METRICS= BY= (CSV=1 or a file; ARGS=; alone: a list)
	@$(ELT) query $(if $(METRICS),--metrics "$(METRICS)") $(if $(BY),--group-by "$(BY)" --order "$(BY)") \
		$(if $(CSV),--csv "$(if $(filter 1,$(CSV)),/dev/stdout,$(CSV))") $(ARGS)

status: $(BIN)/dbt ## the last run, how fresh the data is, what is due (JSON=1; fails when somebody should look)
	@$(ELT) status $(if $(JSON),--json)

history: $(BIN)/dbt ## the runs of the last year (JSON=1)
	@$(ELT) history $(if $(JSON),--json)

check: $(BIN)/dbt ## verify the settings and reach every outside party (SEND=1 sends a test mail)
	@$(ELT) check $(if $(SEND),--send)

docs: $(BIN)/dbt ## build the docs site into out/docs.html and serve it (PORT=8080, SERVE=0)
	@$(ELT) docs $(if $(PORT),--port $(PORT)) $(if $(filter 0,$(SERVE)),--no-serve)

lineage: $(BIN)/dbt .venv/lineage/bin/dbdocs ## build the ERD and the lineage of columns into out/lineage and serve it (PORT=8080, SERVE=0)
	@$(ELT) lineage $(if $(PORT),--port $(PORT)) $(if $(filter 0,$(SERVE)),--no-serve)

db: $(BIN)/dbt ## start the embedded PostgreSQL and say how to connect
	@$(ELT) db

db-stop: $(BIN)/dbt ## stop the embedded PostgreSQL
	@$(ELT) db-stop

db-upgrade: $(BIN)/dbt ## bring the embedded database to the newest PostgreSQL here
	@$(ELT) db-upgrade

psql: $(BIN)/dbt ## open psql on the warehouse
	@$(ELT) psql

forget: $(BIN)/dbt ## remove a learner from the warehouse: USER_ID= (YES=1 without a terminal, WAIT=1)
	@$(ELT) forget --user-id='$(subst ','\'',$(USER_ID))' $(if $(YES),--yes) $(WAITING)

roles: $(BIN)/dbt ## SQL for least-privilege roles (APPLY=1 runs it)
	@$(ELT) roles $(if $(APPLY),--apply)

schedule: $(BIN)/dbt ## the nightly run as a systemd timer or a line for cron (AT=01:30; APPLY=1 installs it)
	@$(ELT) schedule $(if $(AT),--at "$(AT)") $(if $(APPLY),--apply)

unschedule: $(BIN)/dbt ## what `make schedule` installed (APPLY=1 removes it)
	@$(ELT) unschedule $(if $(APPLY),--apply)

backup: $(BIN)/dbt ## write the embedded warehouse to out/backup
	@$(ELT) backup

restore: $(BIN)/dbt ## put a backup in the place of the embedded warehouse (FILE=; YES=1 replaces the data there)
	@$(ELT) restore $(if $(FILE),"$(FILE)") $(if $(filter 1,$(YES)),--yes)

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

pictures: $(BIN)/pytest ## draw the README's pictures from the demo (needs Chromium and LibreOffice)
	@$(BIN)/python -m tests.pictures

messages: $(BIN)/pytest ## gather the texts to translate into the catalogues of orchestration/deliver/locale
	@$(BIN)/python -m babel.messages.frontend -q extract -F orchestration/deliver/locale/babel.cfg --no-default-keywords \
		-k text -k plural:1,2 -k mark --no-location --sort-output --omit-header -o .state/messages.pot .
	@$(BIN)/python -m babel.messages.frontend -q update --no-fuzzy-matching --ignore-obsolete --omit-header --width 118 -l ru \
		-i .state/messages.pot -o orchestration/deliver/locale/ru.po

lock: ## pin versions and hashes from requirements*.in (UPGRADE=1 for the newest; needs uv)
	@for name in requirements requirements-dev requirements-bench requirements-lineage requirements-uv; do \
		uv pip compile -q $(if $(UPGRADE),--upgrade) --no-strip-extras --universal --generate-hashes --python-version 3.10 \
			--no-header --no-annotate -o $$name.txt $$name.in || exit 1; \
	done

# Where nothing was installed, no database was started.
clean: ## remove what was made here, but for the embedded warehouse and its backups (ALL=1, YES=1 unasked)
	@if [ "$(ALL)" = 1 ] && [ "$(YES)" != 1 ]; then \
		[ -t 0 ] || { echo "ALL=1 removes the embedded warehouse and its backups: add YES=1 to mean it." >&2; exit 2; }; \
		echo "This removes the embedded warehouse (.state) and its backups (out/backup), too:"; \
		du -sh .state/postgres out/backup 2>/dev/null | sed 's/^/  /'; \
		printf 'Type yes to go on: '; read -r answer; \
		[ "$$answer" = yes ] || { echo "Nothing was removed."; exit 2; }; \
	fi
	@if [ -x $(BIN)/dbt ]; then $(ELT) db-stop; fi
	rm -rf .venv logs dbt_project/target dbt_project/logs dbt_project/dbt_packages $(if $(filter 1,$(ALL)),.state out)
	@[ ! -d out ] || find out -mindepth 1 -maxdepth 1 ! -name backup -exec rm -rf {} +
	@[ ! -d .state ] || find .state -mindepth 1 -maxdepth 1 ! -name 'postgres*' ! -name schedule -exec rm -rf {} +
	@for kept in .state/postgres out/backup; do [ ! -d $$kept ] || echo "kept: $$kept (ALL=1 removes it)"; done

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
