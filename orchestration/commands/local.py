"""Commands for the person at this machine: the embedded database, psql, the docs site."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion.warehouse import Warehouse
from orchestration import wiring
from orchestration.build.dbt import Dbt
from orchestration.deliver import DeliveryError
from orchestration.deliver.files import write_whole
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, StageError
from orchestration.settings import ROOT, Settings


def start_database(settings: Settings) -> int:
    """Start the embedded PostgreSQL and print how to connect to it."""
    if settings.warehouse is not None:
        label = settings.warehouse.label
        print(f"POSTGRES_HOST is set: the warehouse is {label}, the embedded PostgreSQL is not used.")
        return EXIT_DONE
    warehouse = wiring.open_warehouse(settings)
    print(f"The embedded PostgreSQL is running, database {warehouse.dbname}.")
    print("  psql          make psql")
    print(f"  socket        host={warehouse.host} port={warehouse.port} user={warehouse.user} (no password)")
    with wiring.embedded_postgres() as postgres:
        password = postgres.password_file(settings.state_dir)
    print(f"  other tools   127.0.0.1:{warehouse.port}, user {warehouse.user}, password in {password}")
    return EXIT_DONE


def stop_database(settings: Settings) -> int:
    """Stop the embedded PostgreSQL."""
    with wiring.embedded_postgres() as postgres:
        stopped = postgres.stop(settings.state_dir)
    print("The embedded PostgreSQL is stopped." if stopped else "The embedded PostgreSQL was not running.")
    return EXIT_DONE


def psql(settings: Settings, arguments: list[str]) -> int:
    """Replace this process by psql on the warehouse. Raises StageError when there is no psql."""
    warehouse = wiring.open_warehouse(settings)
    binary = shutil.which("psql") if settings.warehouse is not None else None
    if binary is None:
        with wiring.embedded_postgres() as postgres:
            binary = str(postgres.psql_binary())
    os.environ.update(libpq_environment(warehouse))
    sys.stdout.flush()
    os.execv(binary, [binary, *(argument for argument in arguments if argument != "--")])  # noqa: S606


def libpq_environment(warehouse: Warehouse) -> dict[str, str]:
    """The warehouse as libpq's variables: a password must not be among a process's arguments."""
    variables = {
        "PGHOST": warehouse.host,
        "PGPORT": str(warehouse.port),
        "PGDATABASE": warehouse.dbname,
        "PGUSER": warehouse.user,
        "PGPASSWORD": warehouse.password,
        "PGSSLMODE": warehouse.sslmode,
    }
    return {name: value for name, value in variables.items() if value}


def docs(settings: Settings, serve: bool, port: int) -> int:
    """Build the docs site into one file, and serve it on loopback until interrupted."""
    warehouse = wiring.open_warehouse(settings)
    page = Dbt(warehouse, settings.report_timezone, settings.state_dir).docs()
    target = wiring.docs_path(settings)
    try:
        write_whole(target, lambda file: file.write(page.read_bytes()))
    except DeliveryError as error:
        raise StageError(f"{error}. Set OUT_DIR to a folder of your own.") from None
    print(f"The docs site is in {target}.", flush=True)
    return _serve("docs", functools.partial(_OnePage, page=target), port) if serve else EXIT_DONE


def lineage(settings: Settings, serve: bool, port: int) -> int:
    """Build dbdocs' site, with an ERD and the lineage of columns, and serve it. Raises StageError, WarehouseError."""
    warehouse = wiring.open_warehouse(settings)
    dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
    # The manifest with compiled SQL, and the catalog.
    dbt.docs()
    site = settings.out_dir.absolute() / "lineage"
    config = dbt.target_path / "dbdocs.yml"
    config.write_text(
        json.dumps(
            {
                "site_name": "The grader's data",
                "target_dir": str(dbt.target_path.absolute()),
                "output_dir": str(site),
                "dbterd": {"algo": "semantic", "resource_type": ["model"]},
                "readme": "",
                "show_about": False,
                "show_buy_me_a_coffee": False,
            }
        ),
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "dbdocs", "--config", str(config.absolute()), "generate"],
        cwd=dbt.target_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT / ".venv" / "lineage")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StageError(f"dbdocs could not build the site (`make lineage` installs it): {done.stdout.strip()[-500:]}")
    print(f"The site is in {site}.", flush=True)
    handler = functools.partial(_Folder, directory=str(site))
    return _serve("lineage", handler, port) if serve else EXIT_DONE


def _serve(target: str, handler: Callable[..., http.server.BaseHTTPRequestHandler], port: int) -> int:
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        problem = f"It cannot be served on port {port}: {error.strerror}."
        print(f"{problem} Choose another: make {target} PORT=8081", file=sys.stderr)
        return EXIT_STAGE_FAILED
    with server:
        print(f"Serving it on http://127.0.0.1:{server.server_port}/ until Ctrl-C.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return EXIT_DONE


class _OnePage(http.server.BaseHTTPRequestHandler):
    """Answers every request with the one file of the docs site."""

    def __init__(self, *arguments: Any, page: Path) -> None:
        self.page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        body = self.page.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request for the page is no news."""


class _Folder(http.server.SimpleHTTPRequestHandler):
    """Answers requests with the files of a folder."""

    log_message = _OnePage.log_message
