"""Where the picture is that a form was opened for, until the form is sent: others' messages cannot be looked up again.

The form itself has room for a short key only, and Discord's link is longer; so each is one small file, which a restart
does not touch. It says nothing of who asked, and goes when Discord's link has run out.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from cogs.form import Attached
from generation.errors import InvalidRequest
from generation.phrase import Phrase

KEPT_S = 24 * 3600.0
"""Discord's links to attachments are good for a day."""
MAX_HELD = 500
_KEY = re.compile(r"[0-9a-f]{10}")


class Held:
    """Blocking: callers run these methods off the event loop. `clock` in seconds since 1970."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock

    def put(self, file: Attached) -> str:
        """The key to get it with. What is too old goes, and the oldest of too many."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        key = secrets.token_hex(5)
        (self._folder / f"{key}.json").write_bytes(msgspec.json.encode((self._clock(), file)))
        return key

    def get(self, key: str) -> Attached:
        """Raises `InvalidRequest` for one that is gone, or that nobody put here."""
        held = self._read(self._folder / f"{key}.json") if _KEY.fullmatch(key) else None
        if held is None:
            problem = Phrase("was opened too long ago. Choose “Use as start image” again.")
            raise InvalidRequest(what=Phrase("That form"), problem=problem)
        return held[1]

    def _read(self, path: Path) -> tuple[float, Attached] | None:
        try:
            held = msgspec.json.decode(path.read_bytes(), type=tuple[float, Attached])
        except (OSError, msgspec.DecodeError):
            return None
        return held if self._clock() - held[0] < KEPT_S else None

    def _clear(self) -> None:
        held = {path: self._read(path) for path in self._folder.glob("*.json")}
        good = sorted((each[0], path) for path, each in held.items() if each is not None)
        keep = {path for _at, path in good[-(MAX_HELD - 1) :]}
        for path in held.keys() - keep:
            path.unlink(missing_ok=True)
