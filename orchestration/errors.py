"""The errors that end a command, with the exit code each stands for.

Every message says what failed, where, and what to do next; it holds no secret and is mailed as it is.
"""

EXIT_DONE = 0
EXIT_STAGE_FAILED = 1
EXIT_USAGE = 2
EXIT_DELIVERY_FAILED = 3
EXIT_LOCKED = 4
EXIT_SUSPECT_DAY = 5


class GraderError(Exception):
    """Base of all; `exit_code` is what the process ends with.

    `outage`: a party was away or refused for now, so the same may go well later.
    """

    exit_code = EXIT_STAGE_FAILED

    def __init__(self, message: str, outage: bool = False) -> None:
        super().__init__(message)
        self.outage = outage


class SettingsError(GraderError):
    """Settings or arguments that cannot be used; the message names every offending one."""

    exit_code = EXIT_USAGE


class StageError(GraderError):
    """A stage failed; what depends on it must not run."""


class LockedError(GraderError):
    """Another run is at work on this warehouse."""

    exit_code = EXIT_LOCKED
