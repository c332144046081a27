"""No line is longer than 120 characters. ruff, sqlfluff and yamllint don't look at Markdown and macros."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 120
KINDS = {".py", ".sql", ".yml", ".yaml", ".md", ".sh", ".toml"}
MADE = {"target", "dbt_packages", "out", "logs"}


def test_no_line_is_too_long() -> None:
    long = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix not in KINDS or MADE & {*parts} or any(part.startswith(".") for part in parts):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if len(line) > LONGEST:
                long.append(f"{'/'.join(parts)}:{number}: {len(line)} characters")
    assert not long, f"lines over {LONGEST} characters:\n" + "\n".join(long)
