"""What the web UI keeps for all and Atelier keeps for each key: its options, and which jobs it waits for.

In memory only: a restart forgets options.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request

from api.dialect import get_caller

MAX_SESSIONS = 4096


@dataclass(slots=True)
class Session:
    """Of one key. `model` and `clip_skip`: what requests use that name none; None leaves it to the defaults."""

    model: str | None = None
    clip_skip: int | None = None
    job_ids: list[str] = field(default_factory=list)
    """Jobs that requests of this key wait for, oldest first."""

    @contextmanager
    def waiting_for(self, job_id: str) -> Iterator[None]:
        """Count a job as current while the context lasts."""
        self.job_ids.append(job_id)
        try:
            yield
        finally:
            self.job_ids.remove(job_id)


class Sessions:
    """By the id of the key; those unused for longest are forgotten first."""

    def __init__(self) -> None:
        self._of_key: OrderedDict[int, Session] = OrderedDict()

    def get(self, key_id: int) -> Session:
        session = self._of_key.setdefault(key_id, Session())
        self._of_key.move_to_end(key_id)
        if len(self._of_key) > MAX_SESSIONS:
            self._of_key.popitem(last=False)
        return session


def get_session(request: Request) -> Session:
    """Return the session of the key that asks."""
    state = request.app.state
    if not hasattr(state, "a1111"):
        state.a1111 = Sessions()
    sessions: Sessions = state.a1111
    return sessions.get(get_caller(request).key_id)
