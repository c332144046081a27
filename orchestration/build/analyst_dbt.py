"""`dbt` as people type it: the project's settings become the environment, then dbt itself takes over.

`.venv/bin/dbt` calls this, so that `dbt build` in `dbt_project/` works with nothing exported, on an analyst's own schemas.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestration import wiring
from orchestration.build.dbt import dbt_environment
from orchestration.errors import GraderError
from orchestration.settings import read_settings


def main() -> int:
    """Run dbt's own command line with the warehouse of the settings; returns its exit code.

    Whoever has exported GRADER_DBT_HOST has chosen a warehouse by hand, and nothing is changed.
    """
    if "GRADER_DBT_HOST" not in os.environ:
        try:
            settings = read_settings()
            os.environ.update(dbt_environment(wiring.open_warehouse(settings), settings.report_timezone))
        except GraderError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        _defer_to_production(settings.state_dir / "dbt")
    from dbt.cli.main import cli

    cli(prog_name="dbt")
    return 0


def _defer_to_production(state: Path) -> None:
    """Let what an analyst has not built be read from production, so that `dbt show` and `dbt test` work before any build."""
    if (state / "manifest.json").exists():
        os.environ.setdefault("DBT_DEFER", "true")
        os.environ.setdefault("DBT_DEFER_STATE", str(state))


if __name__ == "__main__":
    sys.exit(main())
