"""Bars are on a terminal only, below what is printed, and are gone when the work is over."""

from __future__ import annotations

import logging
import os
import pty
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from cli import bars
from cli.output import choose, note, tell
from generation import progress
from generation.workers.starting import Starting, StartWatch
from tests.cli.terminal import open_terminal


class Screen:
    """A terminal of our own: what was written to it."""

    def __init__(self, ours: int, stream: TextIO) -> None:
        self._ours, self.stream = ours, stream

    def __enter__(self) -> Screen:
        """Be standard error: not sooner, for pytest takes it back between the set-up of a test and the test."""
        self._before, sys.stderr = sys.stderr, self.stream
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr = self._before

    def read(self) -> str:
        self.stream.flush()
        found = b""
        os.set_blocking(self._ours, False)
        try:
            while part := os.read(self._ours, 2**16):
                found += part
        except BlockingIOError:
            pass
        return found.decode().replace("\r\n", "\n")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield Screen(ours, stream)
    os.close(ours)


def replay(written: str) -> list[str]:
    """Return the lines that are left on a screen after all that was written to it."""
    lines, at = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", written):
        if part == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif part == "\x1b[1A":
            at -= 1
        elif part == "\x1b[2K":
            lines[at] = ""
        elif part != "\r" and not part.startswith("\x1b"):
            lines[at] += part
    return [line for line in lines if line]


def test_a_bar_shows_how_far_it_is_and_leaves_nothing(screen: Screen) -> None:
    with screen, bars.shown():
        with progress.task("Reading a model", 10_000_000, is_bytes=True):
            progress.advance(4_000_000)
            note("a note")
        shown = screen.read()
    assert "Reading a model" in shown and "4.0 of 10.0 MB" in shown
    assert replay(shown) == ["a note"], "what is printed stays, and the bar is gone"
    assert sys.stderr is not screen.stream


def test_lines_of_log_come_above_the_bars(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(screen.stream)])
    with screen, bars.shown():
        with progress.task("Painting", 100) as task:
            root.warning("a worker was lost")
            task.move(50)
            root.warning("another came")
        root.warning("all is well")
    assert replay(screen.read()) == ["a worker was lost", "another came", "all is well"]
    assert [each.stream for each in root.handlers] == [screen.stream]  # type: ignore[attr-defined]


def test_a_result_is_printed_while_a_bar_is_up(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    choose(False)
    with screen, bars.shown(), progress.task("Scanning"):
        tell("added      model harbour")
    assert capsys.readouterr().out == "added      model harbour\n"
    assert replay(screen.read()) == []


def test_a_start_of_another_process_is_shown_as_it_gets_on(screen: Screen) -> None:
    with screen, bars.shown():
        start = StartWatch()
        for done in (1, 2):
            assert start.watch(Starting("Measuring which batches pay", 4, done, False)) == []
        assert start.watch([]) == [], "a sign of life does not end it"
        shown = screen.read()
        start.end()
        start.end()
        assert replay(shown + screen.read()) == []
    assert "Starting the engine" in shown and "Measuring which batches pay" in shown


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TTY_INTERACTIVE", "0")])
def test_a_terminal_that_cannot_or_should_not_shows_none(
    name: str, value: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with screen, bars.shown(), progress.task("Painting", 10) as task:
        task.move(5)
    assert screen.read() == ""


def test_what_is_no_terminal_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        with bars.shown(), progress.task("Painting", 10) as task:
            task.move(5)
        assert sys.stderr is file
    assert (tmp_path / "log").read_text() == ""


async def test_the_program_draws_on_a_real_terminal(tmp_path: Path) -> None:
    home = {"ATELIER_HOME": str(tmp_path), "TERM": "xterm"}
    terminal = await open_terminal("weight", "5", **home)
    try:
        assert await terminal.end() == 0
        await terminal.see("Guild 5 has weight 1")
    finally:
        terminal.close()
    assert "Upgrading the database" in terminal.screen
    assert replay(terminal.screen) == ["Guild 5 has weight 1 (1 is usual)."]
