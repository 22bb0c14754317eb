"""Orders deliveries: servers take turns, in a server its channels do, and in a channel the oldest is first.

Pure and synchronous: no clock, no asyncio, no Discord. Everything is decided by the order of the calls.

A post that is at work holds one of a few places. One that waits for Discord (for a rate limit, or for an answer that
does not come) is *stalled*: it gives its place back and keeps only what its wait concerns, the rate limit of its
channel. So what one channel or server has to wait for keeps no place from the others.

Bounds, for as long as a server has a post that may start: every other server starts at most one before it; within a
server the same holds for its channels. Work conserving: `start` returns a post whenever there is one that may start.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from heapq import heappop, heappush

PLACES = 16
"""Posts at work at a time. Their pictures are in memory, and after an outage thousands are due."""
PLACES_PER_GUILD = 4
MAX_STALLED = 48
"""Stalled posts have their pictures in memory too. With so many, none starts until the longest silent is given up."""


@dataclass(frozen=True, slots=True, order=True)
class Post:
    """One result that is due. `order`: the smaller, the older."""

    order: int
    job_id: str = field(compare=False)
    guild_id: int = field(compare=False)
    channel_id: int = field(compare=False)
    is_limited_by_channel: bool = field(compare=False)
    """Whether it shares its rate limit with the channel's other posts. One with a token has a limit of its own."""


class DeliveryTurns:
    """The line of due posts. Call `push`, `start`, then `end`; `stall` in between when it waits for Discord."""

    def __init__(
        self, *, places: int = PLACES, places_per_guild: int = PLACES_PER_GUILD, max_stalled: int = MAX_STALLED
    ) -> None:
        self._places, self._places_per_guild, self._max_stalled = places, places_per_guild, max_stalled
        self._waiting: OrderedDict[int, OrderedDict[int, _Line]] = OrderedDict()
        self._at_work: set[Post] = set()
        self._per_guild: Counter[int] = Counter()
        self._stalled: OrderedDict[Post, None] = OrderedDict()
        self._limited: set[int] = set()
        """Channels with a post under way that is limited by them."""
        self._due: Counter[int] = Counter()
        """By channel: the posts in line or under way that are limited by it."""

    @classmethod
    def unlimited(cls, *, places: int = sys.maxsize) -> DeliveryTurns:
        """Return turns for what takes no memory: no post is given up, or waits for a place if there are enough."""
        return cls(places=places, places_per_guild=places, max_stalled=sys.maxsize)

    def push(self, post: Post) -> None:
        """Put a post in line, in its channel behind the older ones."""
        self._due[post.channel_id] += post.is_limited_by_channel
        channels = self._waiting.setdefault(post.guild_id, OrderedDict())
        channels.setdefault(post.channel_id, _Line()).push(post)

    def start(self) -> Post | None:
        """Return the post whose turn it is, which now holds a place; None if none may start."""
        if len(self._at_work) >= self._places or len(self._stalled) >= self._max_stalled:
            return None
        for guild_id, channels in self._waiting.items():
            if self._per_guild[guild_id] >= self._places_per_guild:
                continue
            for channel_id, line in channels.items():
                if (post := line.pop(is_limited=channel_id in self._limited)) is not None:
                    self._move_back(guild_id, channel_id)
                    self._begin(post)
                    return post
        return None

    def stall(self, post: Post) -> Post | None:
        """Take the place of a post that waits for Discord. Return one to give up if so many do that none may start."""
        if post in self._at_work:
            self._leave_place(post)
            self._stalled[post] = None
        if len(self._stalled) < self._max_stalled:
            return None
        silent = next(iter(self._stalled))
        self._stalled.move_to_end(silent)
        return silent

    def touch(self, post: Post) -> None:
        """Record a sign of life: among the stalled, it is now the last to be given up."""
        if post in self._stalled:
            self._stalled.move_to_end(post)

    def end(self, post: Post) -> None:
        """Take a post out, whether it waits, is at work or is stalled."""
        self._due[post.channel_id] -= post.is_limited_by_channel
        if not self._due[post.channel_id]:
            del self._due[post.channel_id]
        if post in self._at_work:
            self._leave_place(post)
        elif post in self._stalled:
            del self._stalled[post]
        else:
            self._withdraw(post)
            return
        if post.is_limited_by_channel:
            self._limited.discard(post.channel_id)

    def is_idle(self, channel_id: int) -> bool:
        """Return whether no post waits for a channel's rate limit, or is under way within it."""
        return channel_id not in self._due

    def _begin(self, post: Post) -> None:
        self._at_work.add(post)
        self._per_guild[post.guild_id] += 1
        if post.is_limited_by_channel:
            self._limited.add(post.channel_id)

    def _leave_place(self, post: Post) -> None:
        self._at_work.remove(post)
        self._per_guild[post.guild_id] -= 1
        if not self._per_guild[post.guild_id]:
            del self._per_guild[post.guild_id]

    def _move_back(self, guild_id: int, channel_id: int) -> None:
        """Put the server, and in it the channel, behind the others; take out those with nothing in line."""
        channels = self._waiting[guild_id]
        channels.move_to_end(channel_id)
        self._waiting.move_to_end(guild_id)
        self._tidy(guild_id, channel_id)

    def _withdraw(self, post: Post) -> None:
        self._waiting[post.guild_id][post.channel_id].remove(post)
        self._tidy(post.guild_id, post.channel_id)

    def _tidy(self, guild_id: int, channel_id: int) -> None:
        channels = self._waiting[guild_id]
        if not channels[channel_id]:
            del channels[channel_id]
        if not channels:
            del self._waiting[guild_id]


@dataclass(slots=True)
class _Line:
    """One channel's posts in line: those that share its rate limit, and those that have one of their own."""

    limited: list[Post] = field(default_factory=list)
    free: list[Post] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.limited or self.free)

    def push(self, post: Post) -> None:
        heappush(self.limited if post.is_limited_by_channel else self.free, post)

    def pop(self, *, is_limited: bool) -> Post | None:
        """Take the oldest that may start. `is_limited`: another uses the channel's rate limit."""
        heaps = [heap for heap in (self.free, [] if is_limited else self.limited) if heap]
        return heappop(min(heaps, key=lambda heap: heap[0])) if heaps else None

    def remove(self, post: Post) -> None:
        heap = self.limited if post.is_limited_by_channel else self.free
        heap.remove(post)
        heap.sort()
