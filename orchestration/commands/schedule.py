"""`make schedule` and `make unschedule`: the nightly run of this clone, by systemd or else by cron.

What is installed carries the clone's path, and STATE_DIR notes that path, so that a clone that was moved takes along
what was installed at its old place.
"""

from datetime import time
from pathlib import Path

from orchestration.commands import cron, systemd
from orchestration.errors import EXIT_DONE, SettingsError
from orchestration.settings import ROOT, Settings, read_settings


def schedule(settings: Settings, at: time, apply: bool) -> int:
    """Print the units, or the crontab's lines, of a run each night at a time of REPORT_TIMEZONE; `apply` installs them.

    Installing the same again changes nothing. Raises SettingsError for a path that neither can hold, StageError.
    """
    if not str(ROOT).isprintable() or str(ROOT) != str(ROOT).strip():
        raise SettingsError(f"The path of this clone holds characters that no schedule can: {str(ROOT)!r}.")
    by_systemd = systemd.RUNNING.is_dir()
    if by_systemd:
        _by_systemd(settings, at, apply)
    else:
        _by_cron(settings, at, apply)
    if apply:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _note(settings).write_text(str(ROOT), "utf-8")
    else:
        print("Nothing was installed: `make schedule APPLY=1` does that (AT=01:30 for another time).")
    if not _is_complete_without_environment(settings):
        print(
            "ATTENTION: settings come from the environment of this shell, which a run at night does not have. "
            f"Put them into {ROOT / '.env'}."
        )
    return EXIT_DONE


def unschedule(settings: Settings, apply: bool) -> int:
    """Print what `schedule` installed for this clone; `apply` removes it. Raises StageError."""
    manager, folders, table = systemd.manager(), _folders(settings), cron.read_crontab()
    units = [path for folder in folders for path in manager.installed(folder)]
    blocks = [lines for folder in folders if (lines := cron.block_of(table, folder))]
    if apply:
        _remove(settings)
    for path in units:
        print(f"{'removed' if apply else 'would be removed'}: {path}")
    for lines in blocks:
        print(f"{'removed' if apply else 'would be removed'} from the crontab:\n{lines}", end="")
    if not units and not blocks:
        print("Nothing is installed for this clone.")
    elif not apply:
        print("Nothing was removed: `make unschedule APPLY=1` does that.")
    return EXIT_DONE


def _by_systemd(settings: Settings, at: time, apply: bool) -> None:
    manager, zone = systemd.manager(), settings.report_timezone
    written = (settings.state_dir, settings.log_dir, settings.out_dir)
    files = systemd.units(ROOT, at, zone, manager.is_user, _account(settings), written)
    if not apply:
        for name, text in files.items():
            print(f"# {manager.folder / name}\n{text}")
        return
    _remove(settings, but_units_of=ROOT)
    timer = f"{systemd.unit_name(ROOT)}.timer"
    changed = manager.install(files, timer)
    for name in files:
        print(f"{'written' if manager.folder / name in changed else 'unchanged'}: {manager.folder / name}")
    print(f"The timer is on: {at:%H:%M} in {zone.key}, each night.")
    for line in manager.hints(timer):
        print(line)


def _by_cron(settings: Settings, at: time, apply: bool) -> None:
    lines = cron.lines_for(ROOT, at, settings.report_timezone)
    if not apply:
        print(f"# There is no systemd here. In the crontab:\n{lines}", end="")
        return
    table = cron.read_crontab()
    if cron.block_of(table, ROOT) == lines:
        print("unchanged: the crontab has these lines.")
    else:
        rest = cron.without(table, _folders(settings))
        cron.write_crontab(rest + ("" if not rest or rest.endswith("\n") else "\n") + lines)
        print("written into the crontab:")
    print(lines, end="")
    print("cron leaves out a night when the machine is off; the next run loads its day as well.")


def _remove(settings: Settings, but_units_of: Path | None = None) -> None:
    """Remove what is installed for this clone, now or at an earlier place, but the units that are to stay."""
    folders, manager, table = _folders(settings), systemd.manager(), cron.read_crontab()
    manager.remove([path for folder in folders if folder != but_units_of for path in manager.installed(folder)])
    if any(cron.block_of(table, folder) for folder in folders):
        cron.write_crontab(cron.without(table, folders))
    _note(settings).unlink(missing_ok=True)


def _folders(settings: Settings) -> list[Path]:
    """This clone's path, and the one at which it was scheduled if it has been moved (a copy's original is there)."""
    try:
        before = Path(_note(settings).read_text("utf-8"))
    except OSError:
        return [ROOT]
    return [ROOT] if before == ROOT or (before / "orchestration").is_dir() else [ROOT, before]


def _note(settings: Settings) -> Path:
    return settings.state_dir / "schedule"


def _account(settings: Settings) -> str | None:
    """Who has run this clone so far, unless that was root: what they made stays theirs."""
    owned = settings.state_dir if settings.state_dir.exists() else ROOT
    try:
        return owned.owner() if owned.stat().st_uid != 0 else None
    except KeyError:
        return None


def _is_complete_without_environment(settings: Settings) -> bool:
    try:
        return read_settings({}) == settings
    except SettingsError:
        return False
