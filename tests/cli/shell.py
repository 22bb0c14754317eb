"""A command of the shell: in a process of its own, or in that of the tests, which has imported everything by now."""

from __future__ import annotations

import contextvars
import gc
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.app import run as run_command_line
from generation.workers.local import LocalWorker
from tests.forked_engines import fork
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = {"ATELIER_DISCORD_TOKEN": "a.b.c", "ATELIER_DISCORD_URL": "http://127.0.0.1:1", "ATELIER_HEALTH_PORT": "0"}
"""A Discord that is not there: only the rest of the program can come up."""


def _settle(data_dir: Path, extra: dict[str, str]) -> dict[str, str]:
    """Return an environment with the given settings alone, away from any .env."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    environment = clean | {"ATELIER_HOME": str(data_dir), "ATELIER_DATA_DIR": str(data_dir)}
    return environment | {"ATELIER_LOG_LEVEL": "WARNING", "ATELIER_NUM_THREADS": "1"} | extra


def run_process(*words: str | Path, data_dir: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `bot.py WORDS` as a person does: one second of processor time, five if it paints."""
    return subprocess.run(
        [sys.executable, str(ROOT / "bot.py"), *map(str, words)],
        env=_settle(data_dir, extra),
        cwd=data_dir,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )


def run(*words: str | Path, data_dir: Path, encoding: str = "utf-8", **extra: str) -> subprocess.CompletedProcess[str]:
    """Do the same in this process, from the arguments to the exit status. An engine process is forked."""
    command = ["bot.py", *map(str, words)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, as_at_a_start():
        environment = _settle(data_dir, extra)
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(data_dir)
        patch.setattr(sys, "argv", command)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr("cli.execution.start_early", lambda: None)
        patch.setitem(LocalWorker.__init__.__kwdefaults__, "spawn", fork)
        status = _run_to_the_end()
    said, complained = (stream.buffer.getvalue().decode(encoding, errors="replace") for stream in (out, err))
    return subprocess.CompletedProcess(command, status, said, complained)


def _run_to_the_end() -> int:
    try:
        contextvars.copy_context().run(run_command_line)
    except SystemExit as ended:
        assert ended.code is None or isinstance(ended.code, int)
        return ended.code or 0
    return 0


@contextmanager
def as_at_a_start() -> Iterator[None]:
    """Let a command set up logging and the garbage collector, and take that back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        gc.enable()
