"""`dbt` as people type it: the settings become the environment, then dbt itself takes over.

`.venv/bin/dbt` calls this: `dbt build` works with nothing exported, on an analyst's own schemas.
"""

import os
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from ingestion.errors import IngestionError
from ingestion.warehouse import Warehouse
from orchestration import wiring
from orchestration.build.dbt import NO_RECEIPTS, dbt_environment, rebuild_reason
from orchestration.errors import EXIT_STAGE_FAILED, GraderError
from orchestration.settings import read_settings


def main() -> int:
    """Run dbt's own command line with the warehouse of the settings; returns its exit code.

    Whoever has exported GRADER_DBT_HOST has chosen a warehouse by hand, and nothing is changed.
    """
    if "GRADER_DBT_HOST" not in os.environ:
        try:
            settings = read_settings()
            warehouse = wiring.open_warehouse(settings)
            os.environ.update(dbt_environment(warehouse, settings.report_timezone))
            _rebuild_when_needed(warehouse, settings.report_timezone)
        except (GraderError, IngestionError) as error:
            print(error, file=sys.stderr)
            return getattr(error, "exit_code", EXIT_STAGE_FAILED)
        _defer_to_production(settings.state_dir / "dbt")
        _clone_only_models()
    from dbt.cli.main import cli

    cli(prog_name="dbt")
    return 0


def _rebuild_when_needed(warehouse: Warehouse, zone: ZoneInfo) -> None:
    """Add --full-refresh to a run or build of one's own marts with other rules or another zone."""
    marts = f"{os.environ['GRADER_DBT_SCHEMA']}_marts"
    options = {"--full-refresh", "-f", "--target", "-t", "--empty"}
    if {"run", "build"}.isdisjoint(sys.argv[1:2]) or not options.isdisjoint(sys.argv):
        return
    reason = rebuild_reason(warehouse, marts, zone)
    if reason not in (None, NO_RECEIPTS):
        print(f"dbt: rebuilding {marts} (--full-refresh): {reason}", file=sys.stderr)
        sys.argv.insert(2, "--full-refresh")


def _defer_to_production(state: Path) -> None:
    """Let what an analyst has not built be read from production."""
    if (state / "manifest.json").exists():
        os.environ.setdefault("DBT_DEFER", "true")
        os.environ.setdefault("DBT_DEFER_STATE", str(state))


def _clone_only_models() -> None:
    """Leave seeds and snapshots out of `dbt clone`, which makes views: dbt can't load into those."""
    if sys.argv[1:2] == ["clone"]:
        os.environ.setdefault("DBT_EXCLUDE_RESOURCE_TYPES", "seed snapshot")


if __name__ == "__main__":
    sys.exit(main())
