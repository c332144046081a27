"""What a person sees on a terminal while stages are at work, and what is left of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import ROOT
from tests.terminal import Terminal, shown, start

# Two stages with log lines in between, as a run has them; it waits at the end when told to.
SCRIPT = """
import logging, os, sys, time
from pathlib import Path
from orchestration.commands.progress import live_line
from orchestration.interrupt import in_order
from orchestration.logs import configure
from orchestration.summary import Step

def work():
    configure(Path(sys.argv[1]), 3, ["s3cret"], "7f3a", verbose=os.environ.get("VERBOSE") == "1")
    log = logging.getLogger("orchestration.tests")
    with live_line() as show:
        for stage in ("ingest", "build"):
            log.info("%s: started", stage)
            show(Step(stage))
            for number in range(4):
                show(Step(stage, "part %d of what is done, in words that go on and on and on" % number, number, 4))
                time.sleep(0.12)
                if number % 2:
                    log.warning("%s: trouble %d with s3cret, told at such length that it needs two lines of "
                        "a terminal that is eighty columns wide", stage, number)
            show(None)
        log.error("The API refused. status_code=403")
        log.error("ingest: failed after 3.20 s: The API refused. status_code=403")
        while os.environ.get("WAIT"):
            show(Step("build", "waiting", 3, 4))
            time.sleep(0.05)
    print("All done")

try:
    with in_order():
        work()
except KeyboardInterrupt:
    logging.getLogger("orchestration.tests").warning("interrupted")
    sys.exit(1)
"""


def run(folder: Path, columns: int, output: Path | None = None, **environment: str) -> Terminal:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
    return start([sys.executable, "-c", SCRIPT, str(folder)], columns, environment, ROOT, output)


def trouble(stage: str, number: int) -> str:
    return (
        f"WARNING: {stage}: trouble {number} with ***, told at such length that it needs two lines of a terminal "
        "that is eighty columns wide"
    )


LINES = [
    *(trouble(stage, number) for stage in ("ingest", "build") for number in (1, 3)),
    "ERROR: The API refused. status_code=403",
    "All done",
    "",
]


def wrapped(lines: list[str], columns: int) -> list[str]:
    """The lines as a terminal wraps them."""
    return [line[at : at + columns].rstrip() for line in lines for at in range(0, len(line) or 1, columns)]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_progress_is_one_line_that_leaves_nothing_behind(tmp_path: Path, columns: int, colour: dict[str, str]) -> None:
    terminal = run(tmp_path, columns, None, **colour)
    assert terminal.wait() == 0
    assert terminal.screen == wrapped(LINES, columns)
    live = [line for line in re.split(r"[\r\n]+", plain(terminal.written)) if "part" in line]
    assert {line.split()[1] for line in live} == {"ingest", "build"}
    assert {found[0] for line in live if (found := re.search(r"\d/4", line))} == {"0/4", "1/4", "2/4", "3/4"}
    assert all(len(line) <= columns for line in live)
    # Each frame replaces the one before: never more than one line at a time.
    last_frame = terminal.written.rindex("3/4")
    assert sum("/4" in line for line in shown(terminal.written[: last_frame + 3], columns)) == 1
    assert ("\x1b[38;5" in terminal.written) != bool(colour)
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l"), "the cursor is back"


def plain(written: str) -> str:
    """Without colours and movements."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written)


def test_all_lines_of_the_log_when_asked_for(tmp_path: Path) -> None:
    terminal = run(tmp_path, 200, VERBOSE="1")
    assert terminal.wait() == 0
    assert [line for line in terminal.screen if line.startswith("INFO")] == [
        "INFO: ingest: started",
        "INFO: build: started",
    ]


def test_what_goes_elsewhere_than_the_terminal_gets_there(tmp_path: Path) -> None:
    terminal = run(tmp_path / "logs", 120, output=tmp_path / "output.txt")
    assert terminal.wait() == 0
    assert (tmp_path / "output.txt").read_text() == "All done\n"
    assert "All done" not in terminal.written


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "TERM": "xterm"}])
def test_no_progress_in_a_pipe(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "All done\n"
    # As in the file, line by line.
    (log,) = tmp_path.iterdir()
    assert done.stderr == log.read_text()
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 2 + 4 + 2


def test_ctrl_c_takes_the_line_away(tmp_path: Path) -> None:
    terminal = run(tmp_path, 80, WAIT="1")
    terminal.until(lambda written: "waiting" in written)
    terminal.interrupt()
    assert terminal.wait(10) == 1
    assert terminal.screen == wrapped([*LINES[:-2], "WARNING: interrupted", ""], 80)
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l"), "the cursor is back"
