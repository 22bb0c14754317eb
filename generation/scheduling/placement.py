"""Chooses the worker of an image. Pure: decided by what the image needs and what the members of the pool offer.

What an image needs narrows the members down, as far as some are left: those that have its model, for a replay those
with the fingerprint of its original, and those that were not lost while they held it. A member that is down and
expected back counts: the image waits for it. Where no member fits, any will do: a replay then comes out near, and a
model that no worker has fails with its reason.

Of the members with room the best is

- for a guild that has nothing in the making: the fastest. A light guild's wait is what its card takes, so it goes to
  a fast card even beyond the slots, where the engine steps newcomers first, and never to a slow one instead;
- for other images: one with the model in memory, then the one where a forward is expected to take least.

A member that was lost since it last finished an image comes last: it may be the cause.

A cloud worker is apart: it narrows nothing down, an image that may not leave is never given to it, and any other only
where no member of the operator's own has room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from generation.jobs.protocol import LargestPx

NEWCOMER_FACTOR = 2
"""How far beyond its slots a worker is filled with the images of guilds that have nothing in the making."""
_EQUAL = 1.5
"""Forwards that take up to so many times the shortest are equally fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an image needs of a worker; images with equal needs are one class of work."""

    model: str = ""
    fingerprint: str = ""
    """Digest of the fingerprint under which its bytes are promised, if it is a replay."""
    avoids: frozenset[str] = frozenset()
    """Members that were lost while they held it."""
    pixels: int = 0
    """Of the picture, roughly (`memory_limits.sized`): it goes where there is the memory for it."""
    rows: int = 1
    """Of a forward, that it takes."""
    may_leave: bool = False
    """Another's program may paint it from its words alone, and its bytes are promised to no one."""


ANYWHERE = Needs()
"""Of an image that any worker of the operator's own may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A member of the pool as it stands. What is not known yet, before its first start, is empty."""

    name: str
    slots: int
    """0 while it is down."""
    load: int = 0
    models: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    """Models in its memory, or of the images it holds."""
    fingerprint: str = ""
    forward_s: float | None = None
    """What a forward of one image takes there; None before anything was measured."""
    is_shaky: bool = False
    """It was lost since it last finished an image."""
    largest_px: Mapping[str, LargestPx] = field(default_factory=dict, hash=False)
    """How large a picture of a model is at most in its memory; of any size, where it does not say."""
    is_cloud: bool = False
    """It costs money by the picture: it gets only what may leave, and only what no other has room for."""

    def has_room(self, *, is_newcomer: bool = False) -> bool:
        return self.load < self.slots * (NEWCOMER_FACTOR if is_newcomer else 1)


def choose(needs: Needs, offers: Sequence[Offer], *, is_newcomer: bool = False) -> str | None:
    """Return the name of the member to paint an image; None if it has to wait.

    `offers` are the members that are up or expected back. `is_newcomer`: its guild has nothing in the making.
    """
    able = find_able(needs, offers)
    free = [each for each in able if each.has_room(is_newcomer=is_newcomer)]
    if not free:
        return None
    free = [each for each in free if not each.is_cloud] or free
    fastest_s = min((each.forward_s for each in able if each.slots and each.forward_s is not None), default=1.0)
    if is_newcomer:
        return max(free, key=lambda each: _rank_newcomer(needs, each, fastest_s)).name
    return max(free, key=lambda each: _rank(needs, each, fastest_s)).name


def find_able(needs: Needs, offers: Iterable[Offer]) -> list[Offer]:
    """Return the members that may paint an image, with room or without."""
    found = list(offers)
    own = [each for each in found if not each.is_cloud]
    for fits in (_has_model, _has_fingerprint, _has_memory, _was_not_lost):
        own = [each for each in own if fits(needs, each)] or own
    return own + [each for each in found if each.is_cloud and needs.may_leave and needs.model in each.models]


def _has_model(needs: Needs, offer: Offer) -> bool:
    return not offer.models or needs.model in offer.models


def _has_fingerprint(needs: Needs, offer: Offer) -> bool:
    return not needs.fingerprint or offer.fingerprint in ("", needs.fingerprint)


def _has_memory(needs: Needs, offer: Offer) -> bool:
    limit = offer.largest_px.get(needs.model)
    return limit is None or needs.pixels <= limit.find_for(needs.rows)


def _was_not_lost(needs: Needs, offer: Offer) -> bool:
    return offer.name not in needs.avoids


def _rank_newcomer(needs: Needs, offer: Offer, fastest_s: float) -> tuple[float, ...]:
    is_fast = (offer.forward_s or fastest_s) <= _EQUAL * fastest_s
    is_loaded = needs.model in offer.loaded
    return not offer.is_shaky, is_fast, offer.has_room(), is_loaded, -offer.load / offer.slots


def _rank(needs: Needs, offer: Offer, fastest_s: float) -> tuple[float, ...]:
    is_loaded = needs.model in offer.loaded
    return not offer.is_shaky, is_loaded, -(offer.load + 1) * (offer.forward_s or fastest_s)
