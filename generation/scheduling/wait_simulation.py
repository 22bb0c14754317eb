"""Simulates the queue to estimate a wait: what is at the workers, what is in line, how fast they are.

Pure. A worker advances many images at once, and all get slower as more come, so a wait is not work over
speed. Instead the coming forwards are played through, all those between two ends of images at once: the seats of a
forward go to the guilds by weight, none getting more seats than it has images, inside a guild to its members, oldest
first; an image that ends makes room for the next in line. Arrivals cannot be known: `WaitCorrection` learns by how
much waits have been longer than this.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Self

from generation.scheduling.throughput import Throughput

MAX_PLAYED = 400
"""Images that are played through; what is behind them is estimated from the speed reached by then."""


@dataclass(slots=True)
class Ahead:
    """An image that is in the making or in line. `units`: cost of one of its evaluations; `left`: how many to go."""

    image_id: str
    guild_id: int
    user_id: int
    weight: float
    units: float
    left: float
    where: frozenset[str] | None = None
    """Names of the servers that may take it; None: any."""


@dataclass(slots=True, kw_only=True)
class Server:
    """A worker, the images that it holds, and its own speed."""

    making: list[Ahead]
    slots: int
    pace: Throughput
    name: str = ""
    since_s: float = 0.0
    """Up to when its images were advanced."""
    end_s: float = math.inf
    """When the next of them ends."""
    is_changed: bool = True
    """Whether other images are here than were planned with."""
    _a_second: list[float] = field(default_factory=list)
    """Evaluations of each image a second."""

    def add(self, image: Ahead, now_s: float) -> None:
        """Take an image. The next `plan` is for all that have come by then."""
        if not self.is_changed:
            self.advance(now_s)
        self.since_s, self.is_changed = now_s, True
        self.making.append(image)

    def advance(self, now_s: float) -> None:
        """Advance its images, as planned, up to a moment."""
        for each, speed in zip(self.making, self._a_second, strict=True):
            each.left -= speed * (now_s - self.since_s)
        self.since_s = now_s

    def pop_ended(self) -> list[Ahead]:
        """Take out the images that are done now: the first, whatever rounding left of it, and its equals."""
        least = max(1e-6, min(each.left for each in self.making))
        ended = [each for each in self.making if each.left <= least]
        self.making = [each for each in self.making if each.left > least]
        self.is_changed = True
        return ended

    def plan(self) -> None:
        """Work out how fast its images go until one ends or another comes."""
        self.end_s, self._a_second, self.is_changed = math.inf, [], False
        if not self.making:
            return
        rates = _share_seats(self.making, self.pace.seats)
        share = [each.units * rate for each, rate in zip(self.making, rates, strict=True)]
        forward_s = self.pace.estimate_forward_s(share) or 1e-9
        self._a_second = [rate / forward_s for rate in rates]
        left = zip(self.making, self._a_second, strict=True)
        self.end_s = self.since_s + min(each.left / speed for each, speed in left if speed > 0)

    def may_take(self, each: Ahead, *, is_newcomer: bool) -> bool:
        has_room = len(self.making) < self.slots or is_newcomer
        return has_room and (each.where is None or self.name in each.where)

    def expect_s(self, each: Ahead) -> float:
        """Return about how long the forwards of an image would take here, beside the others."""
        return (len(self.making) + 1) * (self.pace.estimate_forward_s([each.units]) or 0.0)


def play(servers: Sequence[Server], line: Sequence[Ahead]) -> dict[str, float]:
    """Return the seconds until each image is done, if no other request comes. Consumes its arguments.

    Empty as long as nothing is known of the pace of any server. One that nothing is known of counts as another does.
    """
    up = _list_known(servers)
    if not up:
        return {}
    ends, now_s, pending = dict[str, float](), 0.0, list(line[:MAX_PLAYED])
    while True:
        _fill_servers(up, pending, now_s)
        if not any(each.making for each in up):
            break
        for server in up:
            if server.is_changed:
                server.plan()
        now_s = min(each.end_s for each in up)
        for server in up:
            if server.end_s <= now_s:
                server.advance(now_s)
                ends.update((each.image_id, now_s) for each in server.pop_ended())
    return ends | dict(_estimate((*pending, *line[MAX_PLAYED:]), since_s=now_s, servers=up))


def _list_known(servers: Sequence[Server]) -> list[Server]:
    """Return the servers that paint, each with a pace."""
    known = next((each.pace for each in servers if each.pace.estimate_forward_s([1.0]) is not None), None)
    up = [each for each in servers if each.slots or each.making] or list(servers[:1])
    if known is None:
        return []
    for each in up:
        each.pace = each.pace if each.pace.estimate_forward_s([1.0]) is not None else known
    return up


def _fill_servers(servers: Sequence[Server], pending: list[Ahead], now_s: float) -> None:
    """Hand out what there is room for, in order; what only servers without room may take is passed over."""
    number = 0
    while number < len(pending):
        each = pending[number]
        is_newcomer = all(_is_newcomer(each, server.making) for server in servers)
        able = [server for server in servers if server.may_take(each, is_newcomer=is_newcomer)]
        if able:
            chosen = min(able, key=lambda server: (len(server.making) >= server.slots, server.expect_s(each)))
            chosen.add(pending.pop(number), now_s)
        elif each.where is None:
            return
        else:
            number += 1


def seconds_each(line: Sequence[Ahead], *, servers: Sequence[Server]) -> float:
    """Return what each more image in a long line adds to the wait of those behind it, on average over `line`."""
    step_s = {units: _seconds_a_step(units, servers) for units in {each.units for each in line}}
    return sum(each.left * step_s[each.units] for each in line) / max(1, len(line))


def _seconds_a_step(units: float, servers: Sequence[Server]) -> float:
    """Return what a step of such an image takes of the time of all servers together, when they are full."""
    full = ((server.pace.estimate_forward_s([units] * server.pace.seats), server.pace.seats) for server in servers)
    return 1 / a_second if (a_second := sum(seats / forward_s for forward_s, seats in full if forward_s)) else 0.0


def _is_newcomer(waiting: Ahead, residents: Iterable[Ahead]) -> bool:
    return all(waiting.guild_id != each.guild_id for each in residents)


def _estimate(rest: Iterable[Ahead], *, since_s: float, servers: Sequence[Server]) -> Iterator[tuple[str, float]]:
    now_s = since_s
    for each in rest:
        now_s += each.left * _seconds_a_step(each.units, servers)
        yield each.image_id, now_s


def _share_seats(residents: Sequence[Ahead], seats: int) -> list[float]:
    """Return the share of the forwards that each resident is in, 0 to 1; in all no more than there are seats."""
    by_guild: dict[int, list[int]] = {}
    for index, each in enumerate(residents):
        by_guild.setdefault(each.guild_id, []).append(index)
    wants = {guild_id: (residents[own[0]].weight, float(len(own))) for guild_id, own in by_guild.items()}
    rates = [0.0] * len(residents)
    for guild_id, granted in _fill(wants, float(seats)).items():
        own = by_guild[guild_id]
        if len(own) == 1:  # where many guilds ask, nearly all
            rates[own[0]] = min(1.0, granted)
        else:
            _share_among_members(residents, own, granted, rates)
    return rates


def _share_among_members(residents: Sequence[Ahead], own: Sequence[int], granted: float, rates: list[float]) -> None:
    """Write the rates of one guild's images, which stand at `own`: members share alike, oldest first."""
    by_user: dict[int, list[int]] = {}
    for index in own:
        by_user.setdefault(residents[index].user_id, []).append(index)
    for user_id, left in _fill({user: (1.0, float(len(own))) for user, own in by_user.items()}, granted).items():
        for index in by_user[user_id]:
            rates[index] = min(1.0, left)
            left -= rates[index]


def _fill(wants: Mapping[int, tuple[float, float]], amount: float) -> dict[int, float]:
    """Share `amount` by weight, giving each no more than it wants. `wants`: (weight, most) by key."""
    granted: dict[int, float] = {}
    open_keys, left = dict(wants), amount
    while open_keys:
        level = left / sum(weight for weight, _ in open_keys.values())
        content = [key for key, (weight, most) in open_keys.items() if most <= level * weight]
        if not content:
            return granted | {key: level * weight for key, (weight, _) in open_keys.items()}
        for key in content:
            granted[key] = open_keys.pop(key)[1]
            left -= granted[key]
    return granted


TOLERANCE = 0.3
"""An answer is right when it is off by no more than this part of the wait ..."""
TOLERANCE_S = 2.0
"""... or by no more than these seconds."""
_MEMORY = 100
"""Waits of one kind that are remembered."""


def tolerance_s(waited_s: float) -> float:
    """Return by how much an answer may be off and still be right."""
    return max(TOLERANCE * waited_s, TOLERANCE_S)


class Company(NamedTuple):
    """Who is in the making at a moment, roughly, as one guild sees it: all by fours, its own by twos."""

    all: int
    own: int

    @classmethod
    def of(cls, making: Iterable[Ahead], guild_id: int) -> Self:
        """Return what a newcomer of the guild meets."""
        guilds = [each.guild_id for each in making]
        return cls(min(3, len(guilds) // 4), min(2, guilds.count(guild_id) // 2))


class PredictedWait(NamedTuple):
    """An image's first simulated wait, and when (monotonic seconds), after how many interruptions."""

    at_s: float
    played_s: float
    company: Company
    interruptions: int


_Kind = tuple[int, Company]


@dataclass(slots=True)
class WaitCorrection:
    """By what factor waits turned out longer than simulated, because other requests came.

    Learnt by length, as longer waits grow more, and by company: in a full queue, newcomers change less.
    Of the last hundred waits of a kind it takes the factor that would have been right for most of them, which is
    right more often than their mean: waits are spread wide and to one side.
    """

    _seen: dict[_Kind, deque[tuple[float, float]]] = field(default_factory=dict)
    """For each kind of wait: the least and the greatest factor that would have been right."""
    _factors: dict[_Kind, float] = field(default_factory=dict)

    def corrected(self, played_s: float, company: Company) -> float:
        """Return the wait to show a user, where the simulation gave `played_s`."""
        kind = (_length(played_s), company)
        if kind not in self._factors:
            self._factors[kind] = _find_best_factor(self._seen.get(kind, ((1.0, 1.0),)))
        return played_s * self._factors[kind]

    def learn(self, played_s: float, company: Company, waited_s: float) -> None:
        """Learn from a wait that ended; `played_s` and `company` are those of the moment when it was estimated."""
        if played_s <= 0 or waited_s <= 0:
            return
        kind, tolerance = (_length(played_s), company), tolerance_s(waited_s)
        # It begins with a few waits that were as played, so that a single odd one does not settle everything.
        as_played = [(1.0 - TOLERANCE, 1.0 + TOLERANCE)] * 3
        seen = self._seen.setdefault(kind, deque(as_played, maxlen=_MEMORY))
        seen.append(((waited_s - tolerance) / played_s, (waited_s + tolerance) / played_s))
        self._factors.pop(kind, None)


def _find_best_factor(ranges: Iterable[tuple[float, float]]) -> float:
    """Return a number inside as many (least, greatest) ranges as possible; of all such, the nearest to their middle."""
    seen = list(ranges)
    middle = sorted((least + greatest) / 2 for least, greatest in seen)[len(seen) // 2]
    edges = sorted([(least, 0) for least, _ in seen] + [(greatest, 1) for _, greatest in seen])
    best, nearest, inside = 0, middle, 0
    for (edge, is_end), (next_edge, _) in pairwise(edges):
        inside += -1 if is_end else 1
        answer = min(max(middle, edge), next_edge)
        if inside > best or (inside == best and abs(answer - middle) < abs(nearest - middle)):
            best, nearest = inside, answer
    return nearest


def _length(seconds: float) -> int:
    """Return the class of a length: every doubling is one."""
    return round(math.log2(max(seconds, 0.5)))
