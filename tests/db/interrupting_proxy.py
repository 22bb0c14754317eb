"""Stands between a bot and its PostgreSQL server, and cuts the line: at a commit, or so that the server misses it."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"


class Interrupted(StrEnum):
    """Where the line is cut."""

    QUESTION = "before the server hears COMMIT"
    ANSWER = "after the server has committed, before the bot hears of it"


class Proxy:
    """Passes on what comes over a Unix socket in `folder`."""

    def __init__(self, server: Path) -> None:
        self._server = server / _SOCKET
        self.folder = Path(tempfile.mkdtemp(prefix="pgx", dir="/tmp"))
        self.num_interrupted = 0
        self._where: Interrupted | None = None
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.folder / _SOCKET))
        self._listening.listen()
        self._open: list[socket.socket] = []
        self._stranded: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def interrupt(self, where: Interrupted) -> None:
        """Cut the line at the next commit."""
        self._where = where

    def strand(self) -> None:
        """Cut the bot off. The server's side stays open, as when a machine between them vanishes."""
        self._stranded.update(self._open[::2])
        for near in self._stranded:
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in (self._listening, *self._open):
            _shut(each)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._server))
            self._open += [near, far]
            for source, target, where in ((near, far, Interrupted.QUESTION), (far, near, Interrupted.ANSWER)):
                threading.Thread(target=self._pass_on, args=(source, target, where), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, where: Interrupted) -> None:
        try:
            while data := source.recv(65536):
                if self._where is where and b"COMMIT\x00" in data:
                    self._where = None
                    self.num_interrupted += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        if source not in self._stranded:
            _shut(source)
            _shut(target)


def _shut(each: socket.socket) -> None:
    """Let a thread that waits for it go on, then close it."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
