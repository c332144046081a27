"""The only place that reads the environment, and the same names in `.env`, as one checked value.

Every other module gets its settings handed down. Set but empty counts as unset; a real environment
variable wins over `.env`.
"""

import io
import json
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import MAXYEAR, date, timedelta
from difflib import get_close_matches
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Literal, TypeVar, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv.parser import parse_stream

from ingestion.endpoint import Api
from ingestion.warehouse import Warehouse
from orchestration.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent

API = ("API_URL", "API_CLIENT", "API_CLIENT_KEY")
POSTGRES = (
    *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER"),
    *("POSTGRES_PASSWORD", "POSTGRES_SSLMODE"),
)
DISTRIBUTED = "WAREHOUSE_DISTRIBUTED"
GOOGLE = ("GOOGLE_CREDENTIALS_FILE", "GOOGLE_SPREADSHEET", "GOOGLE_SHEETS_API_URL")
MAIL = (
    *("SMTP_HOST", "SMTP_PORT", "SMTP_SECURITY", "SMTP_USER", "SMTP_PASSWORD"),
    *("EMAIL_FROM", "EMAIL_TO"),
)
LOGIN = ("SMTP_USER", "SMTP_PASSWORD")
PLACES = ("LOG_DIR", "LOG_RETENTION_DAYS", "OUT_DIR", "STATE_DIR")
REPORTS = ("REPORT_TIMEZONE", "REPORT_LANGUAGE", "ALERT_TO", "ATTACH_REPORT", "SHARE_LEARNERS", "MAIL")
NIGHTS = ("RETRY_FOR", "PING_URL", "RETAIN_RAW_DAYS")
NAMES = (
    *API,
    "START_DATE",
    "LOOKBACK_HOURS",
    *POSTGRES,
    DISTRIBUTED,
    *GOOGLE,
    *MAIL,
    *REPORTS,
    *NIGHTS,
    "VERBOSE",
    *PLACES,
)

# Taken as they are, white space included.
SECRETS = ("API_CLIENT_KEY", "POSTGRES_PASSWORD", "SMTP_PASSWORD", "PING_URL")
# A group is set as a whole or not at all, but for these.
OPTIONAL = {
    *("POSTGRES_PORT", "POSTGRES_PASSWORD", "POSTGRES_SSLMODE", "GOOGLE_SHEETS_API_URL"),
    *("SMTP_PORT", "SMTP_SECURITY", "SMTP_USER", "SMTP_PASSWORD"),
}

SmtpSecurity = Literal["starttls", "tls", "none"]
SMTP_PORTS: dict[SmtpSecurity, int] = {"starttls": 587, "tls": 465, "none": 25}
LANGUAGES = ("en", "ru")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LONGEST_LOOKBACK = 24 * 3660
LAST_PORT = 65_535
# One address as every SMTP server takes it: ASCII, without a name, spaces, quotes or line breaks.
EMAIL_ADDRESS = re.compile(r"[!#-'*+./0-9=?A-Z^_`a-z{|}~-]+@[A-Za-z0-9.-]+")
SPREADSHEET = re.compile(
    r"(?:https://[^/\s]+/(?:a/[^/\s]+/)?spreadsheets/(?:u/\d+/)?d/)?(?P<id>[A-Za-z0-9_-]+)(?P<rest>[/?#]\S*)?"
)
# Only plain names reach the file system and, later, SQL text.
ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")

DURATION = re.compile(r"0|([1-9]\d{0,5})([smh])", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True)
class GoogleSettings:
    """A service account's file, a spreadsheet's id, and another base URL of the API, if any."""

    credentials_file: Path
    spreadsheet: str
    api_url: str | None
    private_key: str = field(repr=False)


@dataclass(frozen=True)
class MailSettings:
    """The SMTP server and the envelope; `user` is empty for a server without AUTH.

    `sender` may carry a display name.
    """

    host: str
    port: int
    security: SmtpSecurity
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All settings, checked. None for an outside party: its embedded default stands in."""

    api: Api | None
    warehouse: Warehouse | None
    google: GoogleSettings | None
    mail: MailSettings | None
    start_date: date | None
    lookback: timedelta
    report_timezone: ZoneInfo
    report_language: str
    alert_to: tuple[str, ...]
    send_mail: bool
    attach_report: bool
    share_learners: bool
    retry_for: timedelta
    ping_url: str | None = field(repr=False)
    retain_raw_days: int | None
    verbose: bool
    log_dir: Path
    log_retention_days: int
    out_dir: Path
    state_dir: Path
    warnings: tuple[str, ...] = ()
    """What is odd about `.env`, though it can be used."""

    @property
    def secrets(self) -> tuple[str, ...]:
        values = [
            self.api.client_key if self.api else "",
            self.warehouse.password if self.warehouse else "",
            self.mail.password if self.mail else "",
        ]
        if self.ping_url:
            values += [self.ping_url, *(part for part in urlsplit(self.ping_url).path.split("/") if len(part) >= 8)]
        if self.google:
            values += [self.google.private_key, *self.google.private_key.splitlines()[1:-1]]
        return tuple(value for value in values if value)


def read_settings(environment: Mapping[str, str] | None = None, env_file: Path = ROOT / ".env") -> Settings:
    """Read and check all settings; `environment` defaults to the process's own.

    Raises SettingsError with one line for each variable that can't be used, without secrets' values.
    """
    given = os.environ if environment is None else environment
    in_file = _read_env_file(env_file)
    values = in_file | {name: value for name, value in given.items() if value.strip()}
    reader = _Reader({name: values[name] for name in NAMES if values.get(name, "").strip()})
    settings = reader.settings()
    misspelt = _misspelt(in_file, env_file)
    if reader.problems:
        lines = "".join(f"\n  {problem}" for problem in [*reader.problems, *misspelt])
        raise SettingsError(f"The settings cannot be used:{lines}")
    return replace(settings, warnings=(*misspelt, *_readable_by_others(in_file, env_file)))


def shown_path(path: Path | str) -> str:
    """A path as people like to read and copy it: from where they are, when it is below that."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _misspelt(names: Iterable[str], file: Path) -> list[str]:
    """A line for each name in the file that looks like one of ours and is none; others may be anybody's."""
    prefixes = {name.partition("_")[0] for name in NAMES if "_" in name}
    found = []
    for name in names:
        if name in NAMES or not name:
            continue
        near = get_close_matches(name.upper(), NAMES, n=1, cutoff=0.8)
        if not near and "_" in name and name.upper().partition("_")[0] in prefixes:
            near = get_close_matches(name.upper(), NAMES, n=1, cutoff=0)
        if near:
            found.append(f"{file.name}: {name} is no setting and has no effect; is {near[0]} meant?")
    return found


def _readable_by_others(values: Mapping[str, str], file: Path) -> list[str]:
    """A warning when other accounts can read the secrets in the file."""
    held = [name for name in SECRETS if values.get(name, "").strip()]
    try:
        mode = stat.S_IMODE(file.stat().st_mode) if held else 0
    except OSError:
        return []
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return []
    return [f"{file.name} holds {', '.join(held)} and other accounts can read it (mode {mode:04o}): chmod 600 {file}"]


def ping_url_alone() -> str | None:
    """PING_URL where other settings can't be used; None without one that can."""
    try:
        given = {name: value for name, value in os.environ.items() if value.strip()}
        text = (_read_env_file(ROOT / ".env") | given).get("PING_URL", "").strip()
        return _ping_url(text) if text else None
    except (SettingsError, ValueError):
        return None


def _read_env_file(path: Path) -> dict[str, str]:
    """The variables in the file, none when there is no file.

    Values are taken as they are: a password may hold `${`. python-dotenv's own reader would skip a
    line that is no assignment without a word. Raises SettingsError that shows no line's text.
    """
    reason = ""
    try:
        # Some editors put a byte order mark first.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not UTF-8")
    if reason:
        raise SettingsError(f"{path.name} cannot be read: {reason}. Make it a readable UTF-8 text file.")
    bindings = list(parse_stream(io.StringIO(text)))
    for binding in bindings:
        if binding.error:
            line = binding.original.line
            raise SettingsError(f"{path.name}, line {line}: should be NAME=value, with quotes closed.")
    return {binding.key: binding.value or "" for binding in bindings if binding.key}


class _Reader:
    """Turns the texts of what is set into settings, and gathers what is wrong with them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = {name: text if name in SECRETS else text.strip() for name, text in values.items()}
        self.problems: list[str] = []

    def settings(self) -> Settings:
        """The settings; to be used only when there are no problems."""
        return Settings(
            api=self.api(),
            warehouse=self.warehouse(),
            google=self.google(),
            mail=self.mail(),
            start_date=self.read("START_DATE", _day),
            lookback=self.read("LOOKBACK_HOURS", _hours, "24"),
            report_timezone=self.read("REPORT_TIMEZONE", _zone, "Europe/Moscow"),
            report_language=self.read("REPORT_LANGUAGE", _one_of, "en", *LANGUAGES),
            alert_to=self.read("ALERT_TO", _addresses) or (),
            # Login shells set MAIL to a mailbox.
            send_mail=self.values.get("MAIL") != "0",
            attach_report=self.read("ATTACH_REPORT", _switch, "0"),
            share_learners=self.read("SHARE_LEARNERS", _switch, "0"),
            # Whoever sits at a terminal decides; at night nobody does.
            retry_for=self.read("RETRY_FOR", _duration, "0" if sys.stderr.isatty() else "2h"),
            ping_url=self.read("PING_URL", _ping_url),
            retain_raw_days=self.read("RETAIN_RAW_DAYS", _whole_number, "", 1, 36_500),
            # Other programs have a variable of that name, with values of their own.
            verbose=self.values.get("VERBOSE") == "1",
            log_dir=self.read("LOG_DIR", _folder, "logs"),
            log_retention_days=self.read("LOG_RETENTION_DAYS", _whole_number, "3", 0, 36_500),
            out_dir=self.read("OUT_DIR", _folder, "out"),
            state_dir=self.read("STATE_DIR", _folder, ".state"),
        )

    def read(self, name: str, convert: Callable[..., T], default: str = "", *limits: object) -> T:
        """A variable, converted; None without value and default, and for a problem.

        `convert` gets the text and `limits`; it raises ValueError with what the variable should be.
        """
        text = self.values.get(name, default)
        try:
            return convert(text, *limits) if text else cast(T, None)
        except ValueError as error:
            self.problems.append(f"{name} should be {error}")
            return cast(T, None)

    def is_complete(self, group: Sequence[str], stand_in: str, optional: Collection[str] = OPTIONAL) -> bool:
        """Whether the group is set; each variable missing from a half-filled one is a problem."""
        present = [name for name in group if name in self.values]
        missing = [name for name in group if name not in self.values and name not in optional]
        if present:
            self.problems += [
                f"{name} is missing, though {present[0]} is set (unset all of the group for {stand_in})"
                for name in missing
            ]
        return not missing

    def api(self) -> Api | None:
        url = self.read("API_URL", _http_url)
        if not self.is_complete(API, "the built-in demo API"):
            return None
        return Api(url, self.values["API_CLIENT"], self.values["API_CLIENT_KEY"])

    def warehouse(self) -> Warehouse | None:
        port = self.read("POSTGRES_PORT", _whole_number, "5432", 1, LAST_PORT)
        sslmode = self.read("POSTGRES_SSLMODE", _one_of, "prefer", *SSL_MODES)
        distributed = self.read(DISTRIBUTED, _switch, "0")
        if not self.is_complete(POSTGRES, "the embedded PostgreSQL"):
            if distributed and "POSTGRES_HOST" not in self.values:
                self.problems.append(f"{DISTRIBUTED}=1 needs POSTGRES_HOST and its companions: Citus's coordinator")
            return None
        host, dbname, user = (self.values[name] for name in ("POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"))
        return Warehouse(host, port, dbname, user, self.values.get("POSTGRES_PASSWORD", ""), sslmode, distributed)

    def google(self) -> GoogleSettings | None:
        api_url = self.read("GOOGLE_SHEETS_API_URL", _http_url)
        spreadsheet = self.read("GOOGLE_SPREADSHEET", _spreadsheet_id)
        account = self.read("GOOGLE_CREDENTIALS_FILE", _service_account)
        if not self.is_complete(GOOGLE, "the workbook file") or account is None:
            return None
        return GoogleSettings(account[0], spreadsheet, api_url and api_url.rstrip("/"), account[1])

    def mail(self) -> MailSettings | None:
        security = cast(SmtpSecurity, self.read("SMTP_SECURITY", _one_of, "starttls", *SMTP_PORTS))
        port = self.read("SMTP_PORT", _whole_number, str(SMTP_PORTS.get(security, 587)), 1, LAST_PORT)
        recipients = self.read("EMAIL_TO", _addresses)
        sender = self.read("EMAIL_FROM", _sender)
        complete = self.is_complete(MAIL, "the message file")
        self.is_complete(LOGIN, "a server without a login", optional=())
        user, password = (self.values.get(name, "") for name in LOGIN)
        if not complete:
            return None
        return MailSettings(self.values["SMTP_HOST"], port, security, user, password, sender, recipients)


# Each of these converts a text, or raises ValueError with what it should be.


def _whole_number(text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not lowest <= int(text) <= highest:
        raise ValueError(f"a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)


def _one_of(text: str, *allowed: str) -> str:
    if text not in allowed:
        raise ValueError(f"one of {', '.join(allowed)}, not {text!r}")
    return text


def _day(text: str) -> date:
    with suppress(ValueError):
        day = date.fromisoformat(text)
        # At the calendar's very ends a day has no instants in some time zones.
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) and 1 < day.year < MAXYEAR:
            return day
    raise ValueError(f"a date like 2023-04-01, not {text!r}")


def _hours(text: str) -> timedelta:
    hours = math.nan
    with suppress(ValueError):
        hours = float(text)
    if not 0 <= hours <= LONGEST_LOOKBACK:
        raise ValueError(f"a number of hours from 0 to {LONGEST_LOOKBACK}, not {text!r}")
    return timedelta(hours=hours)


def _duration(text: str) -> timedelta:
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"a time like 90s, 30m or 2h, or 0, not {text!r}")
    return timedelta(seconds=int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]) if found[1] else timedelta(0)


def _ping_url(text: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not re.search(r"\s", text):
            return text
    raise ValueError("a URL that begins with http:// or https://")


def _zone(text: str) -> ZoneInfo:
    if ZONE.fullmatch(text):
        with suppress(ValueError, OSError, KeyError):
            return ZoneInfo(text)
    raise ValueError(f"an IANA time zone like Europe/Moscow, not {text!r}")


def _http_url(text: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(text)
        is_http = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        has_more = "@" in parts.netloc or parts.query or parts.fragment or re.search(r"\s", text)
        if is_http and not has_more:
            return text
    raise ValueError("a URL like https://example.org/path, without user, query or fragment")


def _spreadsheet_id(text: str) -> str:
    found = SPREADSHEET.fullmatch(text)
    if found is None or (found["rest"] and not text.startswith("https://")):
        raise ValueError("a spreadsheet's id or its URL (…/spreadsheets/d/<id>/…)")
    return found["id"]


def _switch(text: str) -> bool:
    return _one_of(text, "0", "1") == "1"


def _sender(text: str) -> str:
    """An address, or one with a display name: `Grader <elt@example.org>`."""
    name, address = parseaddr(text)
    written = text.strip() in (address, formataddr((name, address)), f"{name} <{address}>")
    if not (written and text.isprintable() and EMAIL_ADDRESS.fullmatch(address)):
        raise ValueError("an e-mail address (name@example.org, or Name <name@example.org>)")
    return text.strip()


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    if not addresses or not all(map(EMAIL_ADDRESS.fullmatch, addresses)):
        raise ValueError("e-mail addresses (name@example.org), separated by commas")
    return addresses


def _path(text: str) -> Path:
    """A relative path starts at the repository's root."""
    try:
        return ROOT / Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path; this `~` has no home folder") from None


def _folder(text: str) -> Path:
    folder = _path(text)
    existing = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    if existing.exists() and not existing.is_dir():
        raise ValueError(f"a folder, but {existing} is a file")
    return folder


def _service_account(text: str) -> tuple[Path, str]:
    """The file and its private key."""
    file = _path(text)
    try:
        account = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"a readable file: {file}: {error.strerror}") from None
    except ValueError:
        account = None
    fields = ("client_email", "private_key", "token_uri")
    if (
        not isinstance(account, dict)
        or account.get("type") != "service_account"
        or not all(isinstance(account.get(key), str) and account[key] for key in fields)
    ):
        raise ValueError(f"a service account's JSON key with {', '.join(fields)}: {file}")
    return file, str(account["private_key"])
