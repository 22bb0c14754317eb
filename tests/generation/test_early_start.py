"""A worker's process that starts before its parent has imported what it needs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial

import pytest
import typer

from cli.execution import run_guarded
from generation.workers import child_process, early_start

ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.readline()); sys.exit(7)"


@pytest.fixture
def _echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a process that says one line again in place of a worker."""
    monkeypatch.setattr(early_start, "build_command", lambda: [sys.executable, "-c", ECHO])
    monkeypatch.setattr(early_start, "_started", [])


@pytest.mark.usefixtures("_echo")
async def test_a_worker_takes_the_process_that_was_started_early() -> None:
    early_start.start_early()
    pid = early_start._started[0].pid
    process = await child_process.spawn()
    assert process.pid == pid and process.stdin is not None and process.stdout is not None
    process.stdin.write(b"hello\n")
    assert await process.stdout.readline() == b"hello\n"
    assert await process.wait() == 7 == process.returncode
    process.stdin.close()
    assert early_start.take_early() is None, "it is taken once"


@pytest.mark.usefixtures("_echo")
async def test_one_that_has_ended_meanwhile_is_not_taken() -> None:
    early_start.start_early()
    process = early_start._started[0]
    await asyncio.to_thread(process.communicate, b"\n")
    assert early_start.take_early() is None


@pytest.mark.usefixtures("_echo")
def test_one_that_is_not_taken_ends_with_its_parent() -> None:
    early_start.start_early()
    process: subprocess.Popen[bytes] = early_start._started[0]
    early_start.end_early()
    assert process.returncode is not None and early_start._started == []


@pytest.mark.usefixtures("_echo")
def test_a_command_that_fails_before_it_takes_one_ends_it() -> None:
    early_start.start_early()
    process: subprocess.Popen[bytes] = early_start._started[0]
    with pytest.raises(typer.Exit):
        run_guarded(partial(open, "/does/not/exist"))
    assert process.returncode is not None and early_start._started == []


@pytest.mark.usefixtures("_echo")
def test_a_process_that_cannot_be_started_is_left_to_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_start, "build_command", lambda: ["/does/not/exist"])
    early_start.start_early()
    assert early_start.take_early() is None
