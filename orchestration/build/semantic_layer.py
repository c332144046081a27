"""The semantic layer: MetricFlow's own command `mf query`, on production's marts."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestration.build.dbt import PROJECT, Dbt


def metrics(dbt: Dbt) -> dict[str, str]:
    """The metrics that can be asked for, with their descriptions. Raises StageError."""
    found = dbt.parse("--no-write-json").metrics.values()
    return {metric.name: " ".join(metric.description.split()) for metric in found}


def query(dbt: Dbt, arguments: Sequence[str]) -> int:
    """Run `mf query` with these arguments; returns its exit code. Raises StageError."""
    dbt.parse()
    with tempfile.TemporaryDirectory(dir=dbt.target_path) as folder:
        # mf takes the manifest from `target` in the project's folder; an analyst's own is in ours.
        Path(folder, "dbt_project.yml").symlink_to(PROJECT / "dbt_project.yml")
        Path(folder, "target").symlink_to(dbt.target_path)
        os.environ.update(
            DBT_PROJECT_DIR=folder,
            DBT_PROFILES_DIR=str(PROJECT),
            DBT_LOG_PATH=str(dbt.target_path),
            DBT_LOG_LEVEL_FILE="none",
        )
        # The import unpickles a file in the folder for temporary files, which others may have put there.
        tempfile.tempdir = folder
        # The command by itself: `mf` asks the package index for a newer version each time.
        from dbt_metricflow.cli.main import query as mf_query

        try:
            mf_query.main([*arguments, "--quiet"], prog_name="mf query")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            tempfile.tempdir = None
    return 0
