"""Looks a large SQLite file through beside the running bot: at the start it would keep everyone waiting for minutes."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from db.integrity import asking, damaged, explain, find_damage, is_checked_later

log = logging.getLogger(__name__)
FIRST_S = 60.0
"""So long the start has the disk for itself."""


class SoundnessCheck:
    """One look at a file in a thread of its own, a table at a time: each is read at one moment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_over = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="database check", daemon=True)
        self.problem: str | None = None
        """What is wrong and what helps, as sentences for the operator; None if nothing is, or not yet known."""

    def start(self) -> None:
        """Begin after a while, where the start has not looked."""
        if is_checked_later(self._file):
            self._thread.start()

    def stop(self) -> None:
        """Stop looking, also within a table. Safe to call twice, and where nothing was begun."""
        self._is_over.set()
        while self._thread.is_alive():
            if self._connection is not None:
                self._connection.interrupt()
            self._thread.join(0.05)

    def _run(self) -> None:
        if self._is_over.wait(FIRST_S):
            return
        try:
            address = f"{self._file.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as connection:
                self._connection = connection
                self._look(connection)
                self._connection = None
        except sqlite3.Error as error:
            self._connection = None
            if not self._is_over.is_set():
                self._report(str(explain(error, self._file)))

    def _look(self, connection: sqlite3.Connection) -> None:
        ask = asking(connection)
        for row in ask("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"):
            if self._is_over.is_set():
                return
            for damage in find_damage(ask, row[0]):
                self._report(str(damaged(self._file, damage)))
                return
        log.info("action=database-checked file=%s", self._file)

    def _report(self, problem: str) -> None:
        log.error("action=database-unsound problem=%s", problem)
        self.problem = problem
