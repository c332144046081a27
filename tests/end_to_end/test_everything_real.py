"""One run with every outside party set: the API, a PostgreSQL over TLS, Google Sheets, an SMTP server."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.clone import Clone, rows
from tests.end_to_end.other_server import PASSWORD, installations, running
from tests.ingestion.fake_api import KEY, FakeApi, attempts
from tests.orchestration.deliver.conftest import TITLES, credentials, google, private_key
from tests.orchestration.deliver.google_emulator import Google
from tests.orchestration.deliver.mail_server import PASSWORD as MAIL_PASSWORD
from tests.orchestration.deliver.mail_server import USER as MAIL_USER
from tests.orchestration.deliver.mail_server import Authority, Post, mail_server

__all__ = ["credentials", "google", "private_key"]

BOSS = "boss@example.org"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


def set_everything(
    clone: Clone, grader: FakeApi, google: Google, credentials: Path, post: Post, warehouse: Warehouse
) -> None:
    """Point every setting at the test's own parties."""
    clone.ask(grader)
    clone.use(warehouse)
    clone.settings |= {
        "POSTGRES_SSLMODE": warehouse.sslmode,
        "GOOGLE_CREDENTIALS_FILE": str(credentials),
        "GOOGLE_SPREADSHEET": google.spreadsheet,
        "GOOGLE_SHEETS_API_URL": google.url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(post.port),
        "SMTP_SECURITY": "starttls",
        "SMTP_USER": MAIL_USER,
        "SMTP_PASSWORD": MAIL_PASSWORD,
        "EMAIL_FROM": "elt@example.org",
        "EMAIL_TO": BOSS,
    }


@pytest.mark.parametrize("programs", installations(), ids=lambda path: path.parent.name)
def test_a_run_with_everything_set(
    clone: Clone, grader: FakeApi, google: Google, credentials: Path, authority: Authority, programs: Path
) -> None:
    grader.records = attempts("2023-04-01T13:00:00", 50, timedelta(hours=1))
    certificate = str(authority.folder / "ca.pem")
    with (
        mail_server(Post(), "starttls", authority.server_context()) as post,
        running(programs, authority) as warehouse,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PGSSLROOTCERT", certificate)
        set_everything(clone, grader, google, credentials, post, warehouse)
        clone.settings |= {"PGSSLROOTCERT": certificate, "SSL_CERT_FILE": certificate}
        check = clone.make("check")
        assert check.returncode == 0, check.stdout
        assert check.stdout.count("ok ") == 5
        done = clone.make("run", "START=2023-04-01", "END=2023-04-04")
        assert done.returncode == 0, done.stderr
        assert rows(warehouse, "select sum(attempts)::int from marts.daily_metrics") == [(50,)]
        assert [sheet.title for sheet in google.sheets] == [*TITLES, "Sheet1"]
        assert len(google.sheet("Periods").values()) == 2
        daily = google.sheet("Daily metrics").values()
        assert daily[0][0] == "activity_date"
        assert sum(row[1] for row in daily[1:]) == 50
        assert len(post.got) == 1
        for secret in (KEY, PASSWORD, MAIL_PASSWORD):
            assert_unseen(secret, clone, done.stdout + done.stderr + check.stdout + check.stderr)
        assert "MADE-UP" not in done.stdout
        analyst = clone.command("dbt", "build", "--exclude-resource-type", "unit_test", cwd=clone.path / "dbt_project")
        assert analyst.returncode == 0, analyst.stdout
        assert_unseen(PASSWORD, clone, analyst.stdout + analyst.stderr)
    assert not (clone.path / ".state" / "postgres").exists()
    again = clone.make("run")
    assert again.returncode == 2, "make turns every failure into its own 2"
    assert_unseen(PASSWORD, clone, again.stdout + again.stderr)


def assert_unseen(secret: str, clone: Clone, output: str) -> None:
    """No form of the secret is in the output or in any file that was made."""
    forms = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
    made = [path for name in (".state", "logs", "out", "dbt_project") for path in (clone.path / name).rglob("*")]
    texts = [output, *(path.read_bytes().decode("latin-1") for path in made if path.is_file())]
    assert not [form for form in forms for text in texts if form in text]
