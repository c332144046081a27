"""Commands for people: quiet when their output is cut off, and quick to say what is out of reach."""

from __future__ import annotations

import socket
import threading

from tests.faults.conftest import Scene


def test_a_reader_that_has_seen_enough(scene: Scene) -> None:
    scene.put_back("loaded")
    clone = scene.clone
    for command in ("roles", "check"):
        # The reader is gone before the first word.
        done = clone.command("bash", "-c", f"{{ .venv/bin/python -m orchestration {command}; }} | true")
        assert (done.stdout, done.stderr) == ("", ""), command
    done = clone.command("bash", "-c", "{ .venv/bin/python -m orchestration roles; } | head -1")
    assert done.stdout.startswith("-- Three roles")
    assert done.stderr == ""


def test_a_check_asks_once_and_says_it_well(scene: Scene) -> None:
    scene.put_back("loaded")
    calls: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                try:
                    line, _ = busy.accept()
                except OSError:
                    return
                calls.append(1)
                with line:
                    line.sendall(b"421 too busy\r\n")

        threading.Thread(target=answer, daemon=True).start()
        mail = {"SMTP_SECURITY": "none", "EMAIL_FROM": "elt@example.org", "EMAIL_TO": "boss@example.org"}
        mail |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(busy.getsockname()[1])}
        database = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(taken.getsockname()[1])}
        done = scene.prepared.run("check", **mail, **database)
        busy.shutdown(socket.SHUT_RDWR)
    assert done.code == 1
    assert "421 too busy" in done.output
    assert len(calls) == 1
    assert "accepting TCP/IP connections?" in done.output
    assert "check POSTGRES_*" in done.output
    assert "Traceback" not in done.output
