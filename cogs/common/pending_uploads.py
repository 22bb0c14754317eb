"""Where the picture is that a form was opened for, until the form is sent: others' messages cannot be looked up again.

The form itself has room for a short key only, and Discord's link is longer; so each is one small file, which a restart
does not touch. It belongs to the member who opened the form, in that server, and goes when Discord's link has run out,
when the member opened `MAX_OF_MEMBER` more, or when a server has more than `MAX_OF_SERVER`: then those of the members
with most of them go first: one member's many throw out no one else's. Its name holds a keyed hash of the member.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cogs.common.errors import ExpiredFormError
from cogs.common.forms import Attached
from generation.owner import Owner

KEPT_S = 24 * 3600.0
"""Discord's links to attachments are good for a day."""
MAX_OF_MEMBER = 10
MAX_OF_SERVER = 500
_NAME = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{16})\.([0-9]+)\.([0-9a-f]{10})\.json")
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, as its name describes it."""

    path: Path
    server: str
    member: str
    at_ms: int
    key: str = field(repr=False)


class PendingUploads:
    """Blocking: callers run these methods off the event loop.

    `now_s`: seconds since 1970 by Discord, whose links these are; where it is not known, `clock` says.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()

    def put(self, file: Attached, owner: Owner, *, now_s: float | None = None) -> str:
        """Return the key to get it with. Drop what is too old and what is too many."""
        now_s = self._clock() if now_s is None else now_s
        with self._lock:
            key = secrets.token_hex(5)
            name = f"{self._hash(owner.guild_id)}.{self._hash(owner.user_id)}.{int(now_s * 1000)}.{key}.json"
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(msgspec.json.encode(file))
            self._clear(now_s)
        return key

    def get(self, key: str, owner: Owner, *, now_s: float | None = None) -> Attached:
        """Raise `ExpiredFormError` for one that is gone, another's, or never was put here."""
        with self._lock:
            found = self._find(key, owner, self._clock() if now_s is None else now_s)
        if found is None:
            raise ExpiredFormError
        return found

    def forget(self, user_id: int) -> None:
        """Remove all of a member's, in every server."""
        with self._lock:
            member = self._hash(user_id)
            for each in self._entries():
                if each.member == member:
                    each.path.unlink(missing_ok=True)

    def _find(self, key: str, owner: Owner, now_s: float) -> Attached | None:
        wanted = (self._hash(owner.guild_id), self._hash(owner.user_id), key)
        paths = [e.path for e in self._entries() if (e.server, e.member, e.key) == wanted and _is_fresh(e, now_s)]
        try:
            return msgspec.json.decode(paths[0].read_bytes(), type=Attached) if paths else None
        except (OSError, msgspec.DecodeError):
            return None

    def _entries(self) -> list[_Entry]:
        found = ((path, _NAME.fullmatch(path.name)) for path in self._folder.glob("*.json"))
        return [_Entry(path, name[1], name[2], int(name[3]), name[4]) for path, name in found if name is not None]

    def _clear(self, now_s: float) -> None:
        kept = _choose_kept(each for each in self._entries() if _is_fresh(each, now_s))
        for path in set(self._folder.glob("*.json")) - kept:
            path.unlink(missing_ok=True)

    def _hash(self, discord_id: int) -> str:
        return hmac.digest(self._secret(), str(discord_id).encode(), "sha256").hex()[:16]

    def _secret(self) -> bytes:
        """Return the random key of the hashes, made when first needed."""
        path = self._folder / "secret"
        secret = path.read_bytes() if path.exists() else b""
        if len(secret) != _SECRET_BYTES:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret = secrets.token_bytes(_SECRET_BYTES)
            path.touch(mode=0o600)
            path.write_bytes(secret)
        return secret


def _is_fresh(entry: _Entry, now_s: float) -> bool:
    return now_s - entry.at_ms / 1000 < KEPT_S


def _choose_kept(entries: Iterable[_Entry]) -> set[Path]:
    """Return what may stay of each server: every member's newest, then every member's second newest, and so on."""
    nth, of_server = Counter[tuple[str, str]](), Counter[str]()
    ranked: list[tuple[int, _Entry]] = []
    for each in sorted(entries, key=lambda each: -each.at_ms):
        ranked.append((nth[each.server, each.member], each))
        nth[each.server, each.member] += 1
    kept = set()
    for number, each in sorted(ranked, key=lambda one: one[0]):
        if number < MAX_OF_MEMBER and of_server[each.server] < MAX_OF_SERVER:
            kept.add(each.path)
            of_server[each.server] += 1
    return kept
