"""Ctrl-C once, twice, and where it is ignored."""

from __future__ import annotations

import os
import signal
import time

import pytest

from orchestration import interrupt
from orchestration.interrupt import AT_ONCE, cancelled_by_interrupt, held_back, in_order, was_pressed


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)  # lets the handler run


@pytest.fixture(autouse=True)
def _handler_as_before() -> object:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_one_cancels_and_raises() -> None:
    cancelled: list[bool] = []

    def work() -> None:
        with in_order(), cancelled_by_interrupt(lambda: cancelled.append(was_pressed())):
            assert not was_pressed()
            press()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert cancelled == [True]
    # What is left to do is not interrupted any more.
    press()
    with in_order():
        assert not was_pressed()


def test_who_presses_twice_at_once_meant_one() -> None:
    cleared_up = []

    def work() -> None:
        with in_order():
            try:
                press()
            finally:
                press()
                cleared_up.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert cleared_up


def test_it_waits_for_what_must_not_be_done_by_halves() -> None:
    done: list[str] = []

    def work() -> None:
        with in_order():
            with held_back():
                with held_back():
                    press()
                    done.append("inner")
                done.append("outer")
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]


def test_another_one_later_ends_at_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(interrupt, "ONE_PRESS_SECONDS", 0)
    pid = os.fork()
    if not pid:
        try:
            with in_order():
                try:
                    press()
                finally:
                    press()
        finally:
            os._exit(70)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert capfd.readouterr().err == f"{AT_ONCE}\n"


def test_where_it_is_ignored_it_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with in_order():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_handler_before_is_back_afterwards() -> None:
    with in_order():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
