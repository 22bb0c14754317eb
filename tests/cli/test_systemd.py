"""What systemd is told, over a real socket; and which exit status it takes for “do not start me again”."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from sqlalchemy import make_url

from cli.execution import MISCONFIGURED, NOT_NOW, fail
from cli.systemd import READY, STOPPING, Systemd
from db.lock import FolderInUseError
from db.postgres import explain
from generation.errors import AtelierError, ConfigurationError, NotNowError
from tests.patience import PATIENCE_S
from tests.project.test_versions import ROOT

UNIT = ROOT / "deploy/systemd/atelier.service"


@pytest.fixture(params=["file", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The socket of a service manager, and its address as the environment says it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@atelier-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(PATIENCE_S)
        yield name, manager


def test_it_says_that_it_is_ready_and_how_it_is(listening: tuple[str, socket.socket]) -> None:
    name, manager = listening
    systemd = Systemd.of({"NOTIFY_SOCKET": name})
    systemd.tell(READY)
    systemd.describe("Discord: connected\nREADY=0")
    systemd.tell(STOPPING)
    assert [manager.recv(1000) for _ in range(3)] == [b"READY=1", b"STATUS=Discord: connected READY=0", b"STOPPING=1"]


async def test_it_says_that_the_loop_turns(listening: tuple[str, socket.socket]) -> None:
    name, manager = listening
    systemd = Systemd.of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())})
    telling = asyncio.create_task(systemd.keep_alive())
    manager.setblocking(False)
    heard = [await asyncio.get_running_loop().sock_recv(manager, 1000) for _ in range(3)]
    assert heard == [b"WATCHDOG=1"] * 3
    telling.cancel()


async def test_another_processs_watchdog_and_no_manager_are_nothing_to_it(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}
    systemd = Systemd.of(environment)
    assert environment == {}, "no child speaks for the bot"
    await systemd.keep_alive()
    systemd.tell(READY)  # nobody listens there: that is no reason to stop
    Systemd.of({}).tell(READY)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError(problem="The token is refused.", remedy=""), MISCONFIGURED),
        (FolderInUseError(problem="Another bot has it.", remedy=""), NOT_NOW),
        (AtelierError(), 1),
    ],
)
def test_only_what_an_operator_must_change_ends_with_the_status_that_stops_restarts(
    error: AtelierError, status: int
) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail(error)
    assert ended.value.exit_code == status


@pytest.mark.parametrize(
    ("said", "may_pass"),
    [
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', True),
        ("FATAL:  the database system is starting up", True),
        ("[Errno -2] failed to resolve host 'db': Name or service not known", True),
        ('FATAL:  password authentication failed for user "atelier"', False),
        ('FATAL:  database "atelier" does not exist', False),
    ],
)
def test_a_database_server_that_is_coming_up_is_tried_again(said: str, may_pass: bool) -> None:
    error = explain(Exception(said), make_url("postgresql://db.example/atelier"))
    assert isinstance(error, NotNowError) is may_pass


def test_the_unit_says_that_status_and_no_other() -> None:
    unit = UNIT.read_text(encoding="utf-8")
    assert re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.M) == [str(MISCONFIGURED)]
    assert "\nType=notify\n" in unit and "\nWatchdogSec=" in unit


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here: nothing verified the unit")
    unit = UNIT.read_text(encoding="utf-8").replace("/var/lib/atelier/venv/bin/atelier", "/bin/true")
    unit = re.sub(r"^(User|Group)=.*\n", "", unit, flags=re.M)  # there is none of that name here
    (tmp_path / "atelier.service").write_text(unit, encoding="utf-8")
    said = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / "atelier.service")], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")
