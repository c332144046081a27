"""Install pinned packages into the virtual environment .venv, which is made if need be.

`python install.py [--target FOLDER] requirements.txt …`, called by the Makefile; needs nothing but Python. uv does the
work, because it is many times as fast as pip: the one on PATH, otherwise the one pinned in requirements-uv.txt, which
pip fetches. When uv can't be had for this machine, or fails, pip installs the packages.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# A folder of its own, so that uv is not among the product's packages.
UV_HOME = VENV / "uv"
_PIP = ("-m", "pip", "--disable-pip-version-check")
_PIP_INSTALL = (*_PIP, "install", "--quiet", "--require-hashes")
# uv reads neither pip's configuration files nor its variables: what they set is handed on by these names.
_UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}


def main(arguments: Sequence[str]) -> int:
    """Install the packages that files of the repository's root pin; returns the exit code.

    With a target they go to that folder, for a program that needs other versions than the product does.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", help="a folder to install into instead of the virtual environment")
    parser.add_argument("requirements", nargs="+")
    options = parser.parse_args(arguments)
    if not os.access(PYTHON, os.X_OK):
        _say("making the virtual environment .venv")
        # Without pip, which takes several seconds and is needed only where uv can't be had.
        if not _run([sys.executable, "-m", "venv", "--without-pip", str(VENV)]):
            return 1
    _say(f"installing the packages of {', '.join(options.requirements)}")
    words = [word for path in options.requirements for word in ("-r", path)]
    if options.target:
        words += ["--target", options.target]
    return 0 if _install_by_uv(words) or _install_by_pip(words) else 1


def _install_by_uv(words: Sequence[str]) -> bool:
    uv = shutil.which("uv") or _fetch_uv()
    if uv is None:
        _say("uv can't be had here: pip installs them, which takes longer")
        return False
    settings = pip_settings()
    command = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(PYTHON), *words]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        command.append("--no-index")
    done = _run(command, {**uv_variables(settings), **os.environ})
    if not done:
        _say("uv could not install them: pip tries, which takes longer")
    return done


def _fetch_uv() -> str | None:
    """The pinned uv, fetched by pip unless it is there; None where it can't be had."""
    uv = UV_HOME / "bin" / "uv"
    if not uv.exists():
        python = _python_with_pip() or _add_pip()
        options = [
            "--target",
            str(UV_HOME),
            "--no-deps",
            "--only-binary",
            ":all:",
            "-r",
            "requirements-uv.txt",
        ]
        # Outside a virtual environment pip may be set to refuse, or to install for the user.
        environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
        if python is None or not _run([python, *_PIP_INSTALL, *options], environment, quiet=True):
            return None
    return str(uv)


def _install_by_pip(words: Sequence[str]) -> bool:
    if not _has_pip(PYTHON) and not _add_pip():
        _say(
            f"Neither uv nor pip can be had: {sys.executable} lacks ensurepip. Install uv, or what completes Python's "
            "venv on your system (python3-venv on Debian and Ubuntu)."
        )
        return False
    return _run([PYTHON, *_PIP_INSTALL, *words])


def _python_with_pip() -> Path | None:
    """The environment's interpreter or the one it was made by, if it has pip."""
    return next((python for python in (PYTHON, Path(sys.executable)) if _has_pip(python)), None)


def _has_pip(python: Path) -> bool:
    return _run([python, "-c", "import pip"], quiet=True)


def _add_pip() -> Path | None:
    """Give the environment Python's own copy of pip; returns its interpreter, None where Python has no such copy."""
    return PYTHON if _run([PYTHON, "-m", "ensurepip", "--default-pip"], quiet=True) else None


def pip_settings() -> dict[str, str]:
    """What pip's configuration files and PIP_* variables set, by the long names of pip's options."""
    settings = {}
    if python := _python_with_pip():
        command = [str(python), *_PIP, "config", "list"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
        # Those for `pip install` alone go before those for all commands, and come after them in the alphabet.
        for line in sorted(listed.splitlines()):
            name, _, value = line.partition("=")
            section, _, option = name.rpartition(".")
            if section in ("global", "install"):
                settings[option] = str(ast.literal_eval(value))
    variables = {name[4:].lower(): value for name, value in os.environ.items() if name.startswith("PIP_")}
    return settings | {name.replace("_", "-"): value for name, value in variables.items()}


def uv_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that make uv do as these settings make pip do."""
    # pip takes a version from whichever index has it, and trusts the system's certificates.
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "true"}
    for option, variable in _UV_VARIABLES.items():
        if words := settings.get(option, "").split():
            variables[variable] = ("," if option == "find-links" else " ").join(words)
    return variables


def _run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, quiet: bool = False) -> bool:
    """Run a command in the repository's root; returns whether it ended well. Its output goes to standard error."""
    output = subprocess.DEVNULL if quiet else sys.stderr
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        return False
    return done.returncode == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
