"""The dbt project without the marts that only people and other such marts read.

A build of it takes half the time. It serves tests of what all marts have in common: how records come in, how a
build is published, what happens when something fails.
"""

from __future__ import annotations

import shutil
from pathlib import Path

_CORE = {
    "as_of",
    "daily_metrics",
    "learner_tasks",
    "int_learner_course_days",
    "int_learner_course_totals",
    "load_receipts",
}


def leave_out_analytics(project: Path) -> None:
    """Remove those marts, and what needs them, from a copy of the project."""
    for folder in ("marts/activity", "marts/learning", "intermediate"):
        for file in (project / "models" / folder).iterdir():
            if file.stem.removesuffix("_unit_tests") not in _CORE:
                file.unlink()
    (project / "models" / "marts" / "_exposures.yml").unlink()
    for file in (project / "models").rglob("*_semantic_model.yml"):
        file.unlink()
    for folder in ("snapshots", "analyses"):
        shutil.rmtree(project / folder)
