#!/bin/sh
# dbt with this project's settings (see orchestration/build/analyst_dbt.py); the Makefile puts it into
# .venv/bin in place of dbt's own.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$here/python" -m orchestration.build.analyst_dbt "$@"
