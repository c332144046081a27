"""The file `.env` -> its variables; strict where python-dotenv would skip a line without a word."""

from __future__ import annotations

import io
from pathlib import Path

from dotenv.parser import parse_stream

from orchestration.errors import SettingsError


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in the file, none when there is no file.

    Values are taken as they are: a password may hold `${`. Raises SettingsError when the file can't be read as
    UTF-8, or has a line that is no assignment; the line's text is not told.
    """
    reason = ""
    try:
        # Some editors put a byte order mark first.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    if reason:
        raise SettingsError(f"{path.name} cannot be read: {reason}. Make it a readable UTF-8 text file.")
    bindings = list(parse_stream(io.StringIO(text)))
    for binding in bindings:
        if binding.error:
            line = binding.original.line
            raise SettingsError(f"{path.name}, line {line}: should be NAME=value, with quotes closed.")
    return {binding.key: binding.value or "" for binding in bindings if binding.key}
