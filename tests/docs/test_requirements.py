"""What the code imports is declared in requirements.in; a package that another one happens to bring is not enough."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ingestion", "orchestration", "embedded")
# The packages named so are parts of several distributions.
SHARED = {"dbt": {"dbt-core", "dbt-adapters", "dbt-postgres"}, "google": {"google-auth"}}


def declared() -> set[str]:
    lines = (ROOT / "requirements.in").read_text("utf-8").splitlines()
    return {found[0].lower() for line in lines if (found := re.match(r"[\w.-]+", line))}


def imported() -> set[str]:
    """The packages that the code imports, by their top-level names."""
    names: set[str] = set()
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name.partition(".")[0] for name in names} - {*ROOMS, *sys.stdlib_module_names}


def test_every_imported_package_is_declared() -> None:
    distributions = packages_distributions()
    packages = imported()
    assert {"dbt", "psycopg2", "urllib3"} <= packages
    for package in sorted(packages):
        assert package in distributions, f"{package} is not installed"
        owners = SHARED.get(package) or {name.lower().replace("_", "-") for name in distributions[package]}
        assert owners <= declared(), f"{package} is imported, but {owners - declared()} is not in requirements.in"
