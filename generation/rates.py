"""How many requests a member may make a minute. Pure; lives in memory, so a restart forgets one minute."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from generation.errors import Refused, TooFast, TooManyFiles
from generation.job import Owner
from generation.phrase import Phrase

MINUTE = timedelta(minutes=1)
FILES_PER_MINUTE = 30
"""Attached files of one member that are read a minute, in all servers together."""
_MAX_MEMBERS = 10_000


def rates_of_files() -> Rates:
    """Return the rates of attached files: reading one is work, whether or not a request comes of it."""
    return Rates(lambda limit, wait_s: TooManyFiles(limit=limit, wait_s=wait_s))


def _too_many_requests(limit: int, wait_s: int) -> Refused:
    unit = Phrase("request") if limit == 1 else Phrase("requests")
    return TooFast(limit=limit, unit=unit, wait_s=wait_s)


class Rates:
    """When each member's requests of the last minute were made. `limit` 0 means none.

    `refuse` makes the refusal of the limit and the seconds to wait.
    """

    def __init__(self, refuse: Callable[[int, int], Refused] | None = None) -> None:
        self._refuse = refuse or _too_many_requests
        self._made: defaultdict[Owner, deque[datetime]] = defaultdict(deque)

    def check(self, owner: Owner, *, limit: int, now: datetime) -> None:
        """Raise `TooFast`, naming when the next request is welcome, if there were `limit` in the last minute."""
        if not limit:
            return
        made = self._made[owner]
        while made and made[0] <= now - MINUTE:
            made.popleft()
        if len(made) >= limit:
            wait_s = (made[-limit] + MINUTE - now).total_seconds()
            raise self._refuse(limit, max(1, round(wait_s)))

    def take(self, owner: Owner, *, limit: int, now: datetime) -> None:
        """Check, and count one more."""
        self.check(owner, limit=limit, now=now)
        if limit:
            self._made[owner].append(now)
            self._forget_idle(now)

    def give_back(self, owner: Owner) -> None:
        """The last request counted was not accepted after all."""
        if self._made.get(owner):
            self._made[owner].pop()

    def _forget_idle(self, now: datetime) -> None:
        if len(self._made) > _MAX_MEMBERS:
            recent = {owner: made for owner, made in self._made.items() if made and made[-1] > now - MINUTE}
            self._made = defaultdict(deque, recent)
