"""Counts of what was tried and what came of it; the long form writes them to out/torture.md."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from datetime import datetime, timezone

from tests.end_to_end.clone import ROOT
from tests.faults.machine import LONG

FOLDER = ROOT / "out" / "torture"
PAGE = ROOT / "out" / "torture.md"
HEAD = "| fault | tried | records lost | doubled | secrets leaked | notes |\n|---|---:|---:|---:|---:|---|\n"


class Tally:
    """Takes counts; in the short form they are forgotten."""

    def count(
        self, fault: str, tried: int = 1, *, lost: int = 0, doubled: int = 0, leaked: int = 0, **notes: int
    ) -> None:
        """Add to the counts of a kind of fault; `notes` are further counts by name."""
        if not LONG:
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        counts = {"tried": tried, "lost": lost, "doubled": doubled, "leaked": leaked, **notes}
        with (FOLDER / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps({"fault": fault, "counts": counts}) + "\n")


def forget() -> None:
    """Remove the counts of an earlier session."""
    if LONG:
        shutil.rmtree(FOLDER, ignore_errors=True)


def write_report() -> None:
    """Sum the counts of all processes into out/torture.md."""
    if not FOLDER.exists():
        return
    sums: dict[str, Counter[str]] = {}
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            sums.setdefault(entry["fault"], Counter()).update(entry["counts"])
    named = ("tried", "lost", "doubled", "leaked")
    lines = []
    for fault, counts in sorted(sums.items()):
        notes = ", ".join(f"{name.replace('_', ' ')}: {number}" for name, number in counts.items() if name not in named)
        lines.append(f"| {fault} | " + " | ".join(str(counts[name]) for name in named) + f" | {notes} |\n")
    now = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    PAGE.write_text(f"# Faults: what was tried and what came of it\n\n{now}\n\n{HEAD}{''.join(lines)}")
