"""The work of `side_by_side`: pictures that members of several servers ask for at once, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.ack import percentile

COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white")
SAMPLER = "DDIM"
"""The sampler in Paintbox's own settings, which a stock pipeline takes if it is told no other."""
LOWER_IS_BETTER = ("first_s", "p95_s", "lone_s", "cpu_s", "ack_p95_ms")


@dataclass(frozen=True, slots=True)
class Request:
    """One picture that a member of a server asks for."""

    server: int
    member: int
    prompt: str
    seed: int
    steps: int
    side_px: int
    guidance: float = 3.5

    @property
    def settings(self) -> tuple[int, int, float]:
        """What pictures must have in common to go through one call of a stock pipeline."""
        return self.steps, self.side_px, self.guidance


@dataclass(frozen=True, slots=True)
class Plan:
    """`crowd` members of `servers` servers ask at once; then one server floods with `flood`, another asks for one."""

    crowd: int
    servers: int
    flood: int
    steps: tuple[int, ...]
    side_px: int
    dtype: str = "float32"

    @property
    def members(self) -> int:
        """How many members a server needs."""
        return max(-(-self.crowd // self.servers), min(4, self.flood))

    def make_crowd(self) -> list[Request]:
        return [self._ask(number % self.servers, number // self.servers, number) for number in range(self.crowd)]

    def make_flood(self) -> list[Request]:
        """Return the pictures of the flooding server and, asked last, the one of the quiet server."""
        flood = [self._ask(0, number % self.members, number) for number in range(self.flood)]
        return [*flood, self._ask(1, 0, self.flood)]

    def _ask(self, server: int, member: int, number: int) -> Request:
        shown, behind = COLOURS[number % len(COLOURS)], COLOURS[(number + 1) % len(COLOURS)]
        prompt, steps = f"a {shown} circle on a {behind} background", self.steps[number % len(self.steps)]
        return Request(server, member, prompt, number, steps, self.side_px)


@dataclass(frozen=True, slots=True)
class Served:
    """Seconds from asking to the picture for each request, in their order; a bot's acknowledgements in ms."""

    waits_s: Sequence[float]
    acks_ms: Sequence[float] = ()


def summarize(crowd: Served, flood: Served, cpu_s: float) -> dict[str, float]:
    """Return the figures of one round of one program; `cpu_s` is the processor time of all its pictures."""
    figures = {
        "pictures_per_s": len(crowd.waits_s) / max(crowd.waits_s),
        "first_s": min(crowd.waits_s),
        "p95_s": percentile(crowd.waits_s, 95),
        "lone_s": flood.waits_s[-1],
        "cpu_s": cpu_s / (len(crowd.waits_s) + len(flood.waits_s)),
    }
    acks_ms = [*crowd.acks_ms, *flood.acks_ms]
    return figures | ({"ack_p95_ms": percentile(acks_ms, 95)} if acks_ms else {})


def merge(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}


def compare(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Return how many times better ours is in each figure; below 1 theirs is better."""
    return {
        name: round(theirs[name] / ours[name] if name in LOWER_IS_BETTER else ours[name] / theirs[name], 2)
        for name in ours
        if name in theirs and ours[name] and theirs[name]
    }
