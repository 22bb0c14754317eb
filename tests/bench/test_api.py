"""`bench api`, small: nothing is lost, and both kinds of requests are answered."""

from __future__ import annotations

import pytest

from bench.ack import Plan
from bench.api import TO_BE_ZERO, measure


@pytest.mark.long
async def test_a_little_load_of_both_kinds_is_accepted() -> None:
    figures = await measure(Plan(rate=4, guilds=3, seconds=2), Plan(rate=8, guilds=3, seconds=2))
    assert (figures["alone_requests"], figures["beside_requests"], figures["accepted"]) == (8, 8, 16)
    assert figures["jobs"] == 24
    assert not [name for name in TO_BE_ZERO if figures[name]]
