"""What the bot makes of what a member on another machine says."""

from __future__ import annotations

import time
from typing import Any

import pytest

from generation.fleet.messages import FromMember, Life, encode_body
from generation.fleet.remote_worker import RemoteWorker
from generation.jobs.protocol import Progress, Ready
from generation.requests.recipe import Fingerprint
from generation.scheduling.members import MemberState
from generation.scheduling.worker_pool import Member

READY = Ready(num_slots=4, fingerprint=Fingerprint({}), model_sha256={})
A_DAY_S = 86_400.0


def a_worker() -> RemoteWorker:
    async def take(_: Any) -> None: ...

    return RemoteWorker("attic-0", "atelier-1-0", send=take, offer=take)


def said(*events: Any, shift_s: float = 0.0) -> FromMember:
    body = encode_body(list(events))
    return FromMember(member="attic-0", actor="atelier-1-0", life=Life(1), body=body, shift_s=shift_s)


@pytest.mark.parametrize("ahead_s", [-9 * A_DAY_S, 0.0, 9 * A_DAY_S])
async def test_the_pace_of_a_machine_does_not_depend_on_when_it_was_started(ahead_s: float) -> None:
    """Its monotonic clock began then. The bot notes the start of work by its own."""
    worker = a_worker()
    state = MemberState(Member(name="attic-0", worker=worker), 0.0)
    begins_s = time.monotonic()
    state.pace.resumed(now_s=begins_s)
    theirs_s = begins_s + ahead_s
    worker.hear(said(READY))
    steps = [Progress(image_id="a-0", attempt=1, done=n, total=9, at_s=theirs_s + 0.5 * n) for n in range(1, 5)]
    for each in steps:
        worker.hear(said(each, shift_s=-ahead_s))
    events = worker.events()
    await anext(events)
    for _ in steps:
        event = await anext(events)
        assert isinstance(event, Progress) and event.at_s is not None
        state.pace.progressed(event.image_id, 100, now_s=event.at_s)
        state.pace.paused()
        assert state.pace.units_per_s == pytest.approx(200)
        state.pace.resumed(now_s=begins_s + 0.5 * event.done)
    assert not state.pace.num_interruptions
