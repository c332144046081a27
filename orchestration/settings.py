"""The only place that reads the environment: variables, or the same names in `.env`, become one checked value.

Every other module gets its settings handed down. Set but empty counts as unset; a real environment variable wins
over `.env`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, timedelta
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ingestion.warehouse import Warehouse
from orchestration.env_file import read_env_file
from orchestration.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent

NAMES = (
    "API_URL",
    "API_CLIENT",
    "API_CLIENT_KEY",
    "START_DATE",
    "LOOKBACK_HOURS",
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_SSLMODE",
    "GOOGLE_CREDENTIALS_FILE",
    "GOOGLE_SPREADSHEET",
    "GOOGLE_SHEETS_API_URL",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_SECURITY",
    "SMTP_USER",
    "SMTP_PASSWORD",
    "EMAIL_FROM",
    "EMAIL_TO",
    "REPORT_TIMEZONE",
    "LOG_DIR",
    "LOG_RETENTION_DAYS",
    "OUT_DIR",
    "STATE_DIR",
)

# Taken as they are, white space included.
SECRETS = ("API_CLIENT_KEY", "POSTGRES_PASSWORD", "SMTP_PASSWORD")

SmtpSecurity = Literal["starttls", "tls", "none"]
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LONGEST_LOOKBACK = 24 * 3660
SMTP_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# One address as every SMTP server takes it: ASCII, without a name, spaces, quotes or line breaks.
EMAIL_ADDRESS = re.compile(r"[!#-'*+./0-9=?A-Z^_`a-z{|}~-]+@[A-Za-z0-9.-]+")
SPREADSHEET_URL = re.compile(
    r"https://[^/\s]+/(?:a/[^/\s]+/)?spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)(?:[/?#]\S*)?"
)
SPREADSHEET_ID = re.compile(r"([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class ApiSettings:
    """The grader's endpoint and the credentials for it."""

    url: str
    client: str
    client_key: str = field(repr=False)


@dataclass(frozen=True)
class GoogleSettings:
    """A service account's file, the id of the spreadsheet, and another base URL of the Sheets API, if any."""

    credentials_file: Path
    spreadsheet: str
    api_url: str | None
    private_key: str = field(repr=False)


@dataclass(frozen=True)
class MailSettings:
    """The SMTP server and the envelope; `user` is empty for a server without AUTH."""

    host: str
    port: int
    security: SmtpSecurity
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All settings, checked. None for an outside party means that its embedded default stands in."""

    api: ApiSettings | None
    warehouse: Warehouse | None
    google: GoogleSettings | None
    mail: MailSettings | None
    start_date: date | None
    lookback: timedelta
    report_timezone: ZoneInfo
    log_dir: Path
    log_retention_days: int
    out_dir: Path
    state_dir: Path

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for the log's redaction."""
        values = [
            self.api.client_key if self.api else "",
            self.warehouse.password if self.warehouse else "",
            self.mail.password if self.mail else "",
        ]
        if self.google:
            values += [self.google.private_key, *self.google.private_key.splitlines()[1:-1]]
        return tuple(value for value in values if value)


def read_settings(environment: Mapping[str, str] | None = None, env_file: Path = ROOT / ".env") -> Settings:
    """Read and check all settings.

    `environment` defaults to the process's own. Raises SettingsError with one line for each variable that cannot be used;
    the values of secrets are never part of it.
    """
    return _Reader(_values(os.environ if environment is None else environment, env_file)).settings()


def _values(environment: Mapping[str, str], env_file: Path) -> dict[str, str]:
    from_file = read_env_file(env_file)
    merged = {name: from_file.get(name, "") for name in NAMES}
    merged.update({name: environment[name] for name in NAMES if environment.get(name, "").strip()})
    return {
        name: value if name in SECRETS else value.strip() for name, value in merged.items() if value.strip()
    }


class _Reader:
    """Turns texts into settings and gathers what is wrong with them."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.problems: list[str] = []

    def settings(self) -> Settings:
        settings = Settings(
            api=self.api(),
            warehouse=self.warehouse(),
            google=self.google(),
            mail=self.mail(),
            start_date=self.start_date(),
            lookback=self.lookback(),
            report_timezone=self.report_timezone(),
            log_dir=self.folder("LOG_DIR", "logs"),
            log_retention_days=self.integer("LOG_RETENTION_DAYS", 3, 0, 36_500),
            out_dir=self.folder("OUT_DIR", "out"),
            state_dir=self.folder("STATE_DIR", ".state"),
        )
        if self.problems:
            raise SettingsError(
                "The settings cannot be used:\n" + "\n".join(f"  {line}" for line in self.problems)
            )
        return settings

    def problem(self, name: str, should_be: str) -> None:
        self.problems.append(f"{name} {should_be}")

    def group(self, needed: tuple[str, ...], optional: tuple[str, ...], standing_in: str) -> bool:
        """True when the group is set; a half-filled one is a problem of each variable that is missing."""
        present = [name for name in (*needed, *optional) if name in self.values]
        if not present:
            return False
        missing = [name for name in needed if name not in self.values]
        for name in missing:
            self.problem(
                name, f"is missing, though {present[0]} is set (unset all of the group for {standing_in})"
            )
        return not missing

    def api(self) -> ApiSettings | None:
        if "API_URL" in self.values:
            self.http_url("API_URL")
        if not self.group(("API_URL", "API_CLIENT", "API_CLIENT_KEY"), (), "the built-in demo API"):
            return None
        return ApiSettings(self.values["API_URL"], self.values["API_CLIENT"], self.values["API_CLIENT_KEY"])

    def warehouse(self) -> Warehouse | None:
        port = self.integer("POSTGRES_PORT", 5432, 1, 65_535)
        sslmode = self.choice("POSTGRES_SSLMODE", "prefer", SSL_MODES)
        if not self.group(
            ("POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"),
            ("POSTGRES_PORT", "POSTGRES_PASSWORD", "POSTGRES_SSLMODE"),
            "the embedded PostgreSQL",
        ):
            return None
        return Warehouse(
            host=self.values["POSTGRES_HOST"],
            port=port,
            dbname=self.values["POSTGRES_DB"],
            user=self.values["POSTGRES_USER"],
            password=self.values.get("POSTGRES_PASSWORD", ""),
            sslmode=sslmode,
        )

    def google(self) -> GoogleSettings | None:
        if "GOOGLE_SHEETS_API_URL" in self.values:
            self.http_url("GOOGLE_SHEETS_API_URL")
        needed = ("GOOGLE_CREDENTIALS_FILE", "GOOGLE_SPREADSHEET")
        complete = self.group(needed, ("GOOGLE_SHEETS_API_URL",), "the workbook file")
        text = self.values.get("GOOGLE_SPREADSHEET", "")
        spreadsheet = SPREADSHEET_URL.fullmatch(text) or SPREADSHEET_ID.fullmatch(text)
        if "GOOGLE_SPREADSHEET" in self.values and not spreadsheet:
            self.problem(
                "GOOGLE_SPREADSHEET", "should be a spreadsheet's id or its URL (…/spreadsheets/d/<id>/…)"
            )
        file = self.path("GOOGLE_CREDENTIALS_FILE")
        private_key = self.service_account_key(file) if file else None
        if not complete or not spreadsheet or not file or not private_key:
            return None
        api_url = self.values.get("GOOGLE_SHEETS_API_URL")
        return GoogleSettings(file, spreadsheet[1], api_url.rstrip("/") if api_url else None, private_key)

    def service_account_key(self, file: Path) -> str | None:
        name = "GOOGLE_CREDENTIALS_FILE"
        try:
            account = json.loads(file.read_text("utf-8"))
        except OSError as error:
            self.problem(name, f"should be a readable file: {file}: {error.strerror}")
            return None
        except ValueError:
            account = None
        fields = ("client_email", "private_key", "token_uri")
        if (
            not isinstance(account, dict)
            or account.get("type") != "service_account"
            or not all(isinstance(account.get(key), str) and account[key] for key in fields)
        ):
            self.problem(name, f"should be a service account's JSON key with {', '.join(fields)}: {file}")
            return None
        return str(account["private_key"])

    def mail(self) -> MailSettings | None:
        security = self.choice("SMTP_SECURITY", "starttls", tuple(SMTP_PORTS))
        port = self.integer("SMTP_PORT", SMTP_PORTS.get(security, 587), 1, 65_535)
        optional = ("SMTP_PORT", "SMTP_SECURITY", "SMTP_USER", "SMTP_PASSWORD")
        complete = self.group(("SMTP_HOST", "EMAIL_FROM", "EMAIL_TO"), optional, "the message file")
        for name, other in (("SMTP_USER", "SMTP_PASSWORD"), ("SMTP_PASSWORD", "SMTP_USER")):
            if name in self.values and other not in self.values:
                self.problem(other, f"is missing, though {name} is set")
        recipients = tuple(
            part.strip() for part in self.values.get("EMAIL_TO", "").split(",") if part.strip()
        )
        if "EMAIL_TO" in self.values and not (recipients and all(map(EMAIL_ADDRESS.fullmatch, recipients))):
            self.problem("EMAIL_TO", "should be e-mail addresses (name@example.org), separated by commas")
        sender = self.values.get("EMAIL_FROM", "")
        if sender and not EMAIL_ADDRESS.fullmatch(sender):
            self.problem("EMAIL_FROM", "should be an e-mail address (name@example.org)")
        if not complete:
            return None
        return MailSettings(
            host=self.values["SMTP_HOST"],
            port=port,
            security=cast(SmtpSecurity, security),
            user=self.values.get("SMTP_USER", ""),
            password=self.values.get("SMTP_PASSWORD", ""),
            sender=sender,
            recipients=recipients,
        )

    def start_date(self) -> date | None:
        text = self.values.get("START_DATE")
        if text is None:
            return None
        try:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
                raise ValueError
            day = date.fromisoformat(text)
            # At the calendar's very ends a day has no instants in some time zones.
            if not 1 < day.year < MAXYEAR:
                raise ValueError
            return day
        except ValueError:
            self.problem("START_DATE", f"should be a date like 2023-04-01, not {text!r}")
            return None

    def lookback(self) -> timedelta:
        text = self.values.get("LOOKBACK_HOURS", "24")
        try:
            hours = float(text)
            if not (math.isfinite(hours) and 0 <= hours <= LONGEST_LOOKBACK):
                raise ValueError
        except ValueError:
            self.problem(
                "LOOKBACK_HOURS", f"should be a number of hours from 0 to {LONGEST_LOOKBACK}, not {text!r}"
            )
            return timedelta()
        return timedelta(hours=hours)

    def report_timezone(self) -> ZoneInfo:
        name = self.values.get("REPORT_TIMEZONE", "Europe/Moscow")
        try:
            # Only plain names reach the file system and, later, SQL text.
            if not re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", name):
                raise ValueError
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            self.problem("REPORT_TIMEZONE", f"should be an IANA time zone like Europe/Moscow, not {name!r}")
            return ZoneInfo("UTC")

    def http_url(self, name: str) -> None:
        try:
            parts = urlsplit(self.values[name])
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and "@" not in parts.netloc and not parts.query and not parts.fragment
            usable = usable and not re.search(r"\s", self.values[name])
        except ValueError:
            usable = False
        if not usable:
            self.problem(
                name, "should be a URL like https://example.org/path, without user, query or fragment"
            )

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.values.get(name, default)
        if value not in allowed:
            self.problem(name, f"should be one of {', '.join(allowed)}, not {value!r}")
        return value

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        text = self.values.get(name, str(default))
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not lowest <= int(text) <= highest:
            self.problem(name, f"should be a whole number from {lowest} to {highest}, not {text!r}")
            return default
        return int(text)

    def folder(self, name: str, default: str) -> Path:
        folder = self.path(name) or ROOT / default
        there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
        if there.exists() and not there.is_dir():
            self.problem(name, f"should be a folder, but {there} is a file")
        return folder

    def path(self, name: str) -> Path | None:
        """The path in a variable, a relative one from the repository's root; None when unset or impossible."""
        if name not in self.values:
            return None
        try:
            return ROOT / Path(self.values[name]).expanduser()
        except RuntimeError:
            self.problem(name, "should be a path; this `~` has no home folder")
            return None
