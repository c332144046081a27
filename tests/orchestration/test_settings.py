"""Settings: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestration.errors import SettingsError
from orchestration.settings import NAMES, ROOT, Settings, read_settings

API = {"API_URL": "https://grader.example/api", "API_CLIENT": "school", "API_CLIENT_KEY": "k3y-of-the-client"}
POSTGRES = {"POSTGRES_HOST": "db.example", "POSTGRES_DB": "grader", "POSTGRES_USER": "elt"}
MAIL = {"SMTP_HOST": "mail.example", "EMAIL_FROM": "elt@school.example", "EMAIL_TO": "boss@school.example"}
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nbWFkZSB1cA==\nZm9yIHRlc3Rz\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """A `.env` that is not there until a test writes it."""
    return tmp_path / ".env"


@pytest.fixture
def google(tmp_path: Path) -> dict[str, str]:
    """The settings of a spreadsheet, with a credentials file."""
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account()))
    return {"GOOGLE_CREDENTIALS_FILE": str(file), "GOOGLE_SPREADSHEET": "1AbC-d_E"}


def account(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "type": "service_account",
        "client_email": "elt@project.iam.example",
        "private_key": PRIVATE_KEY,
        "token_uri": "https://oauth2.example/token",
    }
    return {**whole, **changes}


def read(environment: dict[str, str], env_file: Path) -> Settings:
    return read_settings(environment, env_file)


def problems(environment: dict[str, str], env_file: Path) -> str:
    """The message about settings that can't be used."""
    with pytest.raises(SettingsError) as caught:
        read(environment, env_file)
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None
    return str(caught.value)


def named_in(message: str) -> set[str]:
    """The variables a message has a line for."""
    return {line.split()[0] for line in message.splitlines()[1:]}


def test_with_nothing_set_every_party_is_embedded(env_file: Path) -> None:
    settings = read({}, env_file)
    assert (settings.api, settings.warehouse, settings.google, settings.mail) == (None, None, None, None)
    assert settings.start_date is None
    assert settings.lookback == timedelta(hours=24)
    assert settings.report_timezone.key == "Europe/Moscow"
    assert settings.log_retention_days == 3
    assert [settings.log_dir, settings.out_dir, settings.state_dir] == [
        ROOT / "logs",
        ROOT / "out",
        ROOT / ".state",
    ]
    assert settings.secrets == ()


def test_set_but_empty_counts_as_unset(env_file: Path) -> None:
    nothing = read({}, env_file)
    assert read(dict.fromkeys(NAMES, ""), env_file) == nothing
    assert read(dict.fromkeys(NAMES, " \t"), env_file) == nothing
    env_file.write_text("".join(f"{name}=\n" for name in NAMES))
    assert read({}, env_file) == nothing


def test_the_environment_wins_over_the_file(env_file: Path) -> None:
    env_file.write_text("LOG_RETENTION_DAYS=7\nLOOKBACK_HOURS=1\n")
    settings = read({"LOG_RETENTION_DAYS": "9"}, env_file)
    assert settings.log_retention_days == 9
    assert settings.lookback == timedelta(hours=1)


def test_an_empty_variable_leaves_the_word_to_the_file(env_file: Path) -> None:
    env_file.write_text("LOG_RETENTION_DAYS=7\n")
    assert read({"LOG_RETENTION_DAYS": ""}, env_file).log_retention_days == 7


def test_the_file_is_read_as_people_write_it(env_file: Path) -> None:
    env_file.write_bytes(
        b"\xef\xbb\xbfexport API_URL = https://grader.example/api\r\n"
        b"# a comment\r\n\r\nOTHER_TOOL=1\r\n"
        b"API_CLIENT='school'\r\nAPI_CLIENT_KEY=\"a#b${HOME}c\"  # the key\r\n"
    )
    api = read({}, env_file).api
    assert api is not None
    assert (api.url, api.client, api.client_key) == ("https://grader.example/api", "school", "a#b${HOME}c")


@pytest.mark.parametrize("line", ["API_CLIENT_KEY='k3y-of-the-client", 'API_CLIENT_KEY="k3y-of-the-client'])
def test_a_line_of_the_file_that_cannot_be_read_is_named_by_its_number(env_file: Path, line: str) -> None:
    env_file.write_text(f"LOG_RETENTION_DAYS=7\n{line}\n")
    message = problems({}, env_file)
    assert ".env, line 2" in message
    assert "k3y" not in message


def test_a_file_that_is_not_utf8_is_refused(env_file: Path) -> None:
    env_file.write_bytes("SMTP_PASSWORD=пароль\n".encode("cp1251"))
    assert ".env cannot be read: it is not UTF-8" in problems({}, env_file)


def test_a_file_that_cannot_be_read_is_refused(env_file: Path) -> None:
    env_file.mkdir()
    assert ".env cannot be read: Is a directory" in problems({}, env_file)


def test_relative_paths_start_at_the_repository(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(env_file.parent)
    settings = read({"LOG_DIR": "a", "OUT_DIR": "b/c", "STATE_DIR": str(env_file.parent / "d")}, env_file)
    assert settings.log_dir == ROOT / "a"
    assert settings.out_dir == ROOT / "b" / "c"
    assert settings.state_dir == env_file.parent / "d"


def test_a_tilde_is_the_home_folder(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(env_file.parent))
    assert read({"OUT_DIR": "~/figures"}, env_file).out_dir == env_file.parent / "figures"


def test_the_mailbox_of_a_login_shell_stops_no_mail(env_file: Path) -> None:
    assert read({"MAIL": "/var/mail/elt"}, env_file).send_mail
    assert read({}, env_file).send_mail


def test_complete_groups_are_taken(env_file: Path, google: dict[str, str]) -> None:
    settings = read(
        {
            **API,
            **POSTGRES,
            "POSTGRES_PASSWORD": " pass word ",
            "POSTGRES_PORT": "6543",
            "POSTGRES_SSLMODE": "verify-full",
            **google,
            **MAIL,
            "SMTP_USER": "elt",
            "SMTP_PASSWORD": "smtp-pass",
            "START_DATE": "2023-04-01",
            "LOOKBACK_HOURS": "1.5",
            "REPORT_TIMEZONE": "Asia/Kolkata",
            "REPORT_LANGUAGE": "ru",
            "EMAIL_FROM": "Grader <elt@school.example>",
            "ALERT_TO": "engineer@school.example, night@school.example",
            "ATTACH_REPORT": "1",
            "SHARE_LEARNERS": "1",
            "MAIL": "0",
        },
        env_file,
    )
    assert settings.warehouse is not None
    assert settings.warehouse.label == "elt@db.example:6543/grader"
    assert (settings.warehouse.password, settings.warehouse.sslmode) == (" pass word ", "verify-full")
    assert settings.google is not None
    assert settings.google.api_url is None
    assert settings.mail is not None
    assert (settings.mail.security, settings.mail.port) == ("starttls", 587)
    assert settings.mail.sender == "Grader <elt@school.example>"
    assert settings.alert_to == ("engineer@school.example", "night@school.example")
    assert settings.report_language == "ru"
    assert (settings.attach_report, settings.share_learners, settings.send_mail) == (True, True, False)
    assert settings.start_date == date(2023, 4, 1)
    assert settings.lookback == timedelta(hours=1.5)
    assert set(settings.secrets) >= {
        API["API_CLIENT_KEY"],
        " pass word ",
        "smtp-pass",
        PRIVATE_KEY,
        "bWFkZSB1cA==",
    }
    for secret in settings.secrets:
        assert secret not in repr(settings)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_mail_port_follows_the_security(env_file: Path, security: str, port: int) -> None:
    mail = read({**MAIL, "SMTP_SECURITY": security}, env_file).mail
    assert mail is not None
    assert mail.port == port


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"API_URL"}, {"API_CLIENT", "API_CLIENT_KEY"}),
        ({"API_CLIENT"}, {"API_URL", "API_CLIENT_KEY"}),
        ({"API_CLIENT_KEY"}, {"API_URL", "API_CLIENT"}),
        ({"API_URL", "API_CLIENT"}, {"API_CLIENT_KEY"}),
        ({"POSTGRES_HOST"}, {"POSTGRES_DB", "POSTGRES_USER"}),
        ({"POSTGRES_DB"}, {"POSTGRES_HOST", "POSTGRES_USER"}),
        ({"POSTGRES_HOST", "POSTGRES_DB"}, {"POSTGRES_USER"}),
        ({"POSTGRES_PASSWORD"}, {"POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"}),
        ({"POSTGRES_PORT"}, {"POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"}),
        ({"POSTGRES_SSLMODE"}, {"POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"}),
        ({"GOOGLE_CREDENTIALS_FILE"}, {"GOOGLE_SPREADSHEET"}),
        ({"GOOGLE_SPREADSHEET"}, {"GOOGLE_CREDENTIALS_FILE"}),
        ({"GOOGLE_SHEETS_API_URL"}, {"GOOGLE_CREDENTIALS_FILE", "GOOGLE_SPREADSHEET"}),
        ({"SMTP_HOST"}, {"EMAIL_FROM", "EMAIL_TO"}),
        ({"EMAIL_TO"}, {"SMTP_HOST", "EMAIL_FROM"}),
        ({"SMTP_PORT"}, {"SMTP_HOST", "EMAIL_FROM", "EMAIL_TO"}),
        ({"SMTP_SECURITY"}, {"SMTP_HOST", "EMAIL_FROM", "EMAIL_TO"}),
        ({"SMTP_HOST", "EMAIL_FROM", "EMAIL_TO", "SMTP_USER"}, {"SMTP_PASSWORD"}),
        ({"SMTP_HOST", "EMAIL_FROM", "EMAIL_TO", "SMTP_PASSWORD"}, {"SMTP_USER"}),
    ],
)
def test_a_half_filled_group_names_what_is_missing(
    env_file: Path, google: dict[str, str], given: set[str], missing: set[str]
) -> None:
    whole = {
        **API,
        **POSTGRES,
        "POSTGRES_PASSWORD": "p4ssword",
        "POSTGRES_PORT": "5432",
        "POSTGRES_SSLMODE": "require",
        **google,
        "GOOGLE_SHEETS_API_URL": "https://sheets.example",
        **MAIL,
        "SMTP_PORT": "587",
        "SMTP_SECURITY": "tls",
        "SMTP_USER": "elt",
        "SMTP_PASSWORD": "smtp-pass",
    }
    assert named_in(problems({name: whole[name] for name in given}, env_file)) == missing


def test_a_cluster_needs_its_coordinator(env_file: Path) -> None:
    assert "needs POSTGRES_HOST" in problems({"WAREHOUSE_DISTRIBUTED": "1"}, env_file)
    assert read({"WAREHOUSE_DISTRIBUTED": "0"}, env_file).warehouse is None
    for value, distributed in (("1", True), ("0", False)):
        warehouse = read({**POSTGRES, "WAREHOUSE_DISTRIBUTED": value}, env_file).warehouse
        assert warehouse is not None
        assert warehouse.distributed is distributed


def test_a_group_is_put_together_from_both_places(env_file: Path) -> None:
    env_file.write_text("".join(f"{name}={API[name]}\n" for name in ("API_CLIENT", "API_CLIENT_KEY")))
    assert "API_URL" in problems({}, env_file).split("is missing")[0]
    assert read({"API_URL": API["API_URL"]}, env_file).api is not None


BAD_VALUES = {
    "API_URL": [
        "grader.example/api",
        "ftp://grader.example/api",
        "https://",
        "https://grader.example:99999/api",
        "https://user:word@grader.example/api",
        "https://:word@grader.example/api",
        "https://grader.example/api?client=school",
        "https://grader.example/api#part",
        "https://grader example/api",
    ],
    "GOOGLE_SHEETS_API_URL": ["sheets.example", "https://sheets.example/?a=b"],
    "START_DATE": ["yesterday", "2023-02-29", "01.04.2023", "20230401", "0001-01-01", "9999-12-31"],
    "LOOKBACK_HOURS": ["a day", "-1", "nan", "inf", "1e9"],
    "POSTGRES_PORT": ["0", "65536", "five", "-1", "5432.0", "٥٤٣٢"],
    "SMTP_PORT": ["0", "65536", "smtp"],
    "POSTGRES_SSLMODE": ["on", "verify", "VERIFY-FULL"],
    "SMTP_SECURITY": ["ssl", "STARTTLS", "true"],
    "GOOGLE_SPREADSHEET": ["my sheet", "https://docs.google.com/document/d/1AbC/edit", "a/b"],
    "EMAIL_FROM": ["boss", "a@b@c", "Elt <elt>", "Elt <elt@school.example", "шеф@school.example", "a@b\nc@d"],
    "ALERT_TO": ["engineer", "a@b.example engineer"],
    "REPORT_LANGUAGE": ["de", "EN", "russian"],
    "ATTACH_REPORT": ["yes", "2"],
    "SHARE_LEARNERS": ["true"],
    "EMAIL_TO": [",", "boss", "boss@school.example; two@school.example", "a@b.example,boss"],
    "REPORT_TIMEZONE": [
        "Moscow",
        "Europe",
        "UTC+3",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/Mos'cow",
        "Европа",
    ],
    "LOG_RETENTION_DAYS": ["-1", "three", "1.5", "99999999999"],
    "RETAIN_RAW_DAYS": ["0", "-1", "30d", "1.5"],
    "OUT_DIR": ["~nobody-of-this-name/out"],
    "LOG_DIR": ["~nobody-of-this-name/logs"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values])
def test_a_value_that_cannot_be_used_is_named(env_file: Path, google: dict[str, str], name: str, value: str) -> None:
    fine = {**API, **POSTGRES, **google, **MAIL}
    read(fine, env_file)
    assert named_in(problems({**fine, name: value}, env_file)) == {name}


@pytest.mark.parametrize("name", ["LOG_DIR", "OUT_DIR", "STATE_DIR"])
@pytest.mark.parametrize("inside", ["", "below/it"])
def test_a_file_in_a_folders_place_is_named(env_file: Path, tmp_path: Path, name: str, inside: str) -> None:
    (tmp_path / "file").write_text("")
    message = problems({name: str(tmp_path / "file" / inside)}, env_file)
    assert named_in(message) == {name}
    assert f"{tmp_path}/file is a file" in message


def test_all_problems_are_told_at_once(env_file: Path) -> None:
    message = problems(
        {
            "API_URL": "nonsense",
            "POSTGRES_HOST": "db.example",
            "POSTGRES_PORT": "many",
            "GOOGLE_SPREADSHEET": "my sheet",
            "SMTP_USER": "elt",
            "EMAIL_TO": "boss",
            "REPORT_TIMEZONE": "Mars/Olympus",
            "LOOKBACK_HOURS": "-1",
        },
        env_file,
    )
    assert named_in(message) == {
        *("API_URL", "API_CLIENT", "API_CLIENT_KEY"),
        *("POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PORT"),
        *("GOOGLE_SPREADSHEET", "GOOGLE_CREDENTIALS_FILE"),
        *("SMTP_HOST", "EMAIL_FROM", "SMTP_PASSWORD", "EMAIL_TO"),
        *("REPORT_TIMEZONE", "LOOKBACK_HOURS"),
    }


def test_no_message_holds_a_secret(env_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account(type="authorized_user")))
    message = problems(
        {
            "API_CLIENT_KEY": "k3y-of-the-client",
            "POSTGRES_PASSWORD": "p4ss-of-the-database",
            "SMTP_PASSWORD": "p4ss-of-the-mail",
            "GOOGLE_CREDENTIALS_FILE": str(file),
            "API_URL": "https://school:k3y-of-the-client@grader.example/?client_key=k3y-of-the-client",
        },
        env_file,
    )
    for secret in ("k3y-of", "p4ss-of", "bWFkZSB1cA", "PRIVATE KEY"):
        assert secret not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not json", "service account's JSON key"),
        (b"\xff\xfe", "service account's JSON key"),
        (b"[]", "service account's JSON key"),
        (json.dumps(account(type="authorized_user")).encode(), "service account's JSON key"),
        (json.dumps(account(private_key="")).encode(), "service account's JSON key"),
        (json.dumps(account(client_email=None)).encode(), "service account's JSON key"),
        (json.dumps(account(token_uri=1)).encode(), "service account's JSON key"),
        (None, "No such file"),
    ],
)
def test_credentials_that_are_no_service_account(
    env_file: Path, tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_bytes(content)
    message = problems({"GOOGLE_CREDENTIALS_FILE": str(file), "GOOGLE_SPREADSHEET": "1AbC"}, env_file)
    assert named_in(message) == {"GOOGLE_CREDENTIALS_FILE"}
    assert says in message


def test_credentials_that_are_a_folder(env_file: Path, tmp_path: Path) -> None:
    message = problems({"GOOGLE_CREDENTIALS_FILE": str(tmp_path), "GOOGLE_SPREADSHEET": "1AbC"}, env_file)
    assert "Is a directory" in message


@pytest.mark.parametrize(
    "text",
    [
        "1AbC-d_E",
        "https://docs.google.com/spreadsheets/d/1AbC-d_E",
        "https://docs.google.com/spreadsheets/d/1AbC-d_E/edit?usp=sharing#gid=0",
        "https://docs.google.com/spreadsheets/u/0/d/1AbC-d_E/edit",
        "https://docs.google.com/a/school.example/spreadsheets/d/1AbC-d_E/edit",
    ],
)
def test_a_spreadsheet_by_its_id_or_its_address(env_file: Path, google: dict[str, str], text: str) -> None:
    found = read({**google, "GOOGLE_SPREADSHEET": text}, env_file).google
    assert found is not None
    assert found.spreadsheet == "1AbC-d_E"


def test_several_recipients(env_file: Path) -> None:
    mail = read({**MAIL, "EMAIL_TO": " boss@school.example ,o'neil+elt@b.example,, "}, env_file).mail
    assert mail is not None
    assert mail.recipients == ("boss@school.example", "o'neil+elt@b.example")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Moscow", "America/Argentina/Buenos_Aires", "Etc/GMT-3"])
def test_zones(env_file: Path, zone: str) -> None:
    assert read({"REPORT_TIMEZONE": zone}, env_file).report_timezone.key == zone


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"API_URL": "https://grader.example/api"}, ["API_CLIENT", "API_CLIENT_KEY"]),
        (
            {"REPORT_TIMEZONE": "Mars/Olympus", "POSTGRES_PASSWORD": "p4ssword"},
            ["REPORT_TIMEZONE", "POSTGRES_HOST"],
        ),
        ({"SMTP_SECURITY": "ssl"}, ["SMTP_SECURITY"]),
    ],
)
@pytest.mark.parametrize("command", ["check", "run", "db"])
def test_a_command_refuses_them_before_anything_starts(
    tmp_path: Path, command: str, settings: dict[str, str], named: list[str]
) -> None:
    places = {name: str(tmp_path / name) for name in ("STATE_DIR", "LOG_DIR", "OUT_DIR")}
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", command],
        cwd=ROOT,
        env={**os.environ, **places, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    for name in named:
        assert name in done.stderr
    assert "p4ssword" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_log_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "check"],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(tmp_path / "state"), "LOG_DIR": "/proc/logs"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LOG_DIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SMPT_HOST", "SMTP_HOST"),
        ("SMTP_HOSTNAME", "SMTP_HOST"),
        ("smtp_host", "SMTP_HOST"),
        ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
        ("POSTGRES_URL", "POSTGRES_USER"),
        ("REPORT_TIME_ZONE", "REPORT_TIMEZONE"),
        ("LOGDIR", "LOG_DIR"),
        ("STARTDATE", "START_DATE"),
    ],
)
def test_a_misspelt_name_is_named_with_the_nearest(env_file: Path, name: str, meant: str) -> None:
    env_file.write_text(f"{name}=a value\n")
    assert read({}, env_file).warnings == (f".env: {name} is no setting and has no effect; is {meant} meant?",)


@pytest.mark.parametrize("name", ["EDITOR", "COMPOSE_PROJECT_NAME", "DEMO_SCALE", "AWS_REGION", "TZ", "X"])
def test_a_name_of_somebody_elses_is_no_news(env_file: Path, name: str) -> None:
    env_file.write_text(f"{name}=a value\n")
    assert read({}, env_file).warnings == ()


def test_a_misspelt_name_explains_a_half_filled_group(env_file: Path) -> None:
    env_file.write_text("SMPT_HOST=mail.example\nEMAIL_FROM=elt@school.example\nEMAIL_TO=boss@school.example\n")
    said = problems({}, env_file)
    assert "SMTP_HOST is missing" in said
    assert "SMPT_HOST is no setting and has no effect; is SMTP_HOST meant?" in said


def test_variables_of_the_environment_are_not_judged(env_file: Path) -> None:
    assert read({"SMPT_HOST": "mail.example"}, env_file).warnings == ()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True), (0o644, True)])
def test_a_file_with_secrets_that_others_can_read(env_file: Path, mode: int, warned: bool) -> None:
    env_file.write_text("".join(f"{name}={value}\n" for name, value in API.items()))
    env_file.chmod(mode)
    said = read({}, env_file).warnings
    assert said == (
        (f".env holds API_CLIENT_KEY and other accounts can read it (mode {mode:04o}): chmod 600 {env_file}",)
        if warned
        else ()
    )


def test_a_file_without_secrets_may_be_read_by_others(env_file: Path) -> None:
    env_file.write_text("REPORT_LANGUAGE=ru\nAPI_CLIENT_KEY=\n")
    env_file.chmod(0o644)
    assert read({}, env_file).warnings == ()


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("0", False), ("", False), ("yes please", False)])
def test_verbose_is_for_ones_only(env_file: Path, text: str, expected: bool) -> None:
    assert read({"VERBOSE": text}, env_file).verbose is expected
