"""Ctrl-C: the first one ends a command in order, another one at once."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from orchestration.errors import EXIT_STAGE_FAILED

NOT_BEGUN = "It had not begun: nothing was changed. Run the same command again."
AT_ONCE = "Interrupted again: ended at once. What was complete by then is kept; run the same command again."
ONE_PRESS_SECONDS = 1.0
"""Whoever is in a hurry presses twice: within this time it counts as once."""
_CLEAR_LINE, _SHOW_CURSOR = "\r\x1b[2K", "\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises. Where KeyboardInterrupt itself hits an import, Python ends by the signal, caught or not."""


_pressed_at: float | None = None
_cancels: list[Callable[[], None]] = []
_holding = 0
_held_back = False


def was_pressed() -> bool:
    """Whether the command at work was interrupted: what fails from then on is no news."""
    return _pressed_at is not None


@contextmanager
def cancelled_by_interrupt(cancel: Callable[[], None]) -> Iterator[None]:
    """Within the block Ctrl-C calls `cancel` first, which ends what another thread waits for."""
    _cancels.append(cancel)
    try:
        yield
    finally:
        _cancels.remove(cancel)


@contextmanager
def held_back() -> Iterator[None]:
    """Within the block Ctrl-C waits for its end: what is drawn by halves spoils the terminal."""
    global _holding, _held_back
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        if _held_back and not _holding:
            _held_back = False
            raise Interrupted


@contextmanager
def in_order() -> Iterator[None]:
    """Within the block Ctrl-C raises Interrupted, a KeyboardInterrupt, once; the next one ends the process at once.

    Once it was pressed that stays so after the block: the process ends, and a KeyboardInterrupt would
    only show a traceback. Where Ctrl-C was ignored from the start (nohup), it stays ignored.
    """
    global _pressed_at, _held_back
    _pressed_at, _held_back = None, False
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if was_pressed():
            # Python's last steps would put the default back, by which Ctrl-C kills.
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        else:
            signal.signal(signal.SIGINT, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _pressed_at, _held_back
    if _pressed_at is None:
        _pressed_at = time.monotonic()
        for cancel in [*_cancels]:
            cancel()
        if not _holding:
            raise Interrupted
        _held_back = True
        return
    if time.monotonic() - _pressed_at < ONE_PRESS_SECONDS:
        return
    # Neither print nor logging: either may be what is interrupted. What PostgreSQL and the demo API
    # do at a client's sudden end is their business, as after any kill.
    clean = _CLEAR_LINE + _SHOW_CURSOR if sys.stderr.isatty() else ""
    os.write(2, f"{clean}{AT_ONCE}\n".encode())
    os._exit(EXIT_STAGE_FAILED)
