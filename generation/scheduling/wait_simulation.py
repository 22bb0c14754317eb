"""Simulates the queue to estimate a wait: what is at the worker, what is in line, how fast it goes.

Pure. The worker advances many images at once, and all get slower as more come, so a wait is not work over
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


def play(making: Iterable[Ahead], line: Sequence[Ahead], *, slots: int, pace: Throughput) -> dict[str, float]:
    """Return the seconds until each image is done, if no other request comes. Consumes its arguments.

    Empty as long as nothing is known of the pace.
    """
    if pace.estimate_forward_s([1.0]) is None:
        return {}
    residents, ends, now_s, next_in_line = list(making), dict[str, float](), 0.0, 0
    num_played = min(len(line), MAX_PLAYED)
    while residents or next_in_line < num_played:
        while next_in_line < num_played and (len(residents) < slots or _is_newcomer(line[next_in_line], residents)):
            residents.append(line[next_in_line])
            next_in_line += 1
        rates = _share_seats(residents, pace.seats)
        forwards = min(each.left / rate for each, rate in zip(residents, rates, strict=True) if rate > 0)
        share = [each.units * rate for each, rate in zip(residents, rates, strict=True)]
        now_s += forwards * (pace.estimate_forward_s(share) or 0.0)
        for each, rate in zip(residents, rates, strict=True):
            each.left -= forwards * rate
        ends.update((each.image_id, now_s) for each in residents if each.left < 1e-6)
        residents = [each for each in residents if each.left >= 1e-6]
    return ends | dict(_estimate(line[next_in_line:], since_s=now_s, pace=pace))


def seconds_each(line: Sequence[Ahead], *, pace: Throughput) -> float:
    """Return what each more image in a long line adds to the wait of those behind it, on average over `line`."""
    return sum(each.left * (pace.estimate_forward_s([each.units] * pace.seats) or 0.0) for each in line) / (
        pace.seats * max(1, len(line))
    )


def _is_newcomer(waiting: Ahead, residents: Iterable[Ahead]) -> bool:
    return all(waiting.guild_id != each.guild_id for each in residents)


def _estimate(rest: Iterable[Ahead], *, since_s: float, pace: Throughput) -> Iterator[tuple[str, float]]:
    now_s = since_s
    for each in rest:
        full = pace.estimate_forward_s([each.units] * pace.seats) or 0.0
        now_s += each.left * full / pace.seats
        yield each.image_id, now_s


def _share_seats(residents: Sequence[Ahead], seats: int) -> list[float]:
    """Return the share of the forwards that each resident is in, 0 to 1; in all no more than there are seats."""
    by_guild: dict[int, list[int]] = {}
    for index, each in enumerate(residents):
        by_guild.setdefault(each.guild_id, []).append(index)
    wants = {guild_id: (residents[own[0]].weight, float(len(own))) for guild_id, own in by_guild.items()}
    rates = [0.0] * len(residents)
    for guild_id, granted in _fill(wants, float(seats)).items():
        by_user: dict[int, list[int]] = {}
        for index in by_guild[guild_id]:
            by_user.setdefault(residents[index].user_id, []).append(index)
        for user_id, part in _fill({user: (1.0, float(len(own))) for user, own in by_user.items()}, granted).items():
            left = part
            for index in by_user[user_id]:
                rates[index] = min(1.0, left)
                left -= rates[index]
    return rates


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
