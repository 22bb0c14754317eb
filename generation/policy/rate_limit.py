"""How many requests a member may make a minute. Lives in memory, so a restart forgets one minute.

A minute is one of the monotonic clock: setting the clock of the machine neither ends nor prolongs it.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

from generation.errors import RefusedError, TooFastError, TooManyFilesError
from generation.owner import Owner
from generation.translatable import Phrase

MINUTE_S = 60.0
FILES_PER_MINUTE = 30
"""Attached files of one member that are read a minute, in all servers together."""
_MAX_MEMBERS = 10_000


def make_file_rate_limiter(monotonic: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return the rates of attached files: reading one is work, whether or not a request comes of it."""
    return RateLimiter(lambda limit, wait_s: TooManyFilesError(limit=limit, wait_s=wait_s), monotonic)


def _build_too_many_requests(limit: int, wait_s: int) -> RefusedError:
    unit = Phrase("request") if limit == 1 else Phrase("requests")
    return TooFastError(limit=limit, unit=unit, wait_s=wait_s)


class RateLimiter:
    """When each member's requests of the last minute were made. `limit` 0 means none.

    `refuse` makes the refusal of the limit and the seconds to wait. `monotonic` counts seconds.
    """

    def __init__(
        self,
        refuse: Callable[[int, int], RefusedError] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._refuse = refuse or _build_too_many_requests
        self._monotonic = monotonic
        self._made: defaultdict[Owner, deque[float]] = defaultdict(deque)

    def check(self, owner: Owner, *, limit: int) -> None:
        """Raise `TooFastError`, naming when the next request is welcome, if there were `limit` in the last minute."""
        if not limit:
            return
        made, now_s = self._made[owner], self._monotonic()
        while made and made[0] <= now_s - MINUTE_S:
            made.popleft()
        if len(made) >= limit:
            raise self._refuse(limit, max(1, round(made[-limit] + MINUTE_S - now_s)))

    def take(self, owner: Owner, *, limit: int) -> None:
        """Check the limit and count one more request."""
        self.check(owner, limit=limit)
        if limit:
            self._made[owner].append(self._monotonic())
            self._forget_idle()

    def give_back(self, owner: Owner) -> None:
        """Take back the last request counted, because it was not accepted."""
        if self._made.get(owner):
            self._made[owner].pop()

    def _forget_idle(self) -> None:
        if len(self._made) > _MAX_MEMBERS:
            since_s = self._monotonic() - MINUTE_S
            recent = {owner: made for owner, made in self._made.items() if made and made[-1] > since_s}
            self._made = defaultdict(deque, recent)
