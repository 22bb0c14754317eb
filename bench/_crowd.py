"""Load for the simulations of sharing: floods, bursts, light guilds, and records of how they were served."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType

from bench._sharing import Picture, Policy
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.spec import ImageSpec

FLOODS = {1: 50, 2: 20, 3: 10}
BURST_GUILD, BURST_STEPS, BURST_IMAGES = 4, 30, 40
HEAVY = tuple(sorted({*FLOODS, BURST_GUILD}))
LIGHT = range(10, 20)
LIGHT_STEPS = 20
MEMBER = 1
"""The member who, in the guild that floods with the longest pictures, asks for one now and then."""
_ALWAYS_WAITING = 40

ONE_KEY = ((("one model", "one shape"), 1.0),)
FOUR_KEYS = (
    (("common", "square"), 0.5),
    (("common", "wide"), 0.2),
    (("rare", "square"), 0.2),
    (("rare", "wide"), 0.1),
)
"""Two models and two aspect ratios, with how often each is asked for."""

Key = tuple[str, str]
Mix = tuple[tuple[Key, float], ...]
CHARGES = {"sd": 1.0, "sdxl": 8.4, "zimage": 34.9}
"""What one evaluation costs, guided by Stable Diffusion at 512 pixels: of XL guided, of Z-Image Turbo not, at 1024."""
FAMILIES: Mix = ((("sd", "square"), 0.5), (("sdxl", "square"), 0.3), (("zimage", "square"), 0.2))
FLOOD_KEYS: Mapping[int, Key] = {guild_id: key for guild_id, (key, _) in zip(FLOODS, FAMILIES, strict=True)}
"""Each server floods with a family of its own; all others ask for any."""
NO_KEYS: Mapping[int, Key] = MappingProxyType({})
Duration = Callable[[list[Picture], str], float]


def one_tick(stepped: list[Picture], model_before: str) -> float:
    return 1.0


@dataclass(slots=True)
class Record:
    """What a run is judged by: waits relative to a lone picture, in forwards, and `walls` in time."""

    service: dict[int, float] = field(default_factory=dict)
    gap: float = 0.0
    light_waits: list[float] = field(default_factory=list)
    light_walls: list[float] = field(default_factory=list)
    member_waits: list[float] = field(default_factory=list)
    steps: float = 0
    swaps: int = 0
    forwards: int = 0
    elapsed: float = 0.0
    ranges: dict[tuple[int, int], tuple[float, float, float]] = field(default_factory=dict)
    """Per pair: its difference now, and the least and greatest since both began to have work."""

    def note_end(self, picture: Picture, solo: float) -> None:
        """Record an end. `solo` is the time of a lone picture."""
        forwards = (self.forwards - picture.arrived[0]) / picture.steps
        if picture.guild_id in LIGHT:
            self.light_waits.append(forwards)
            self.light_walls.append((self.elapsed - picture.arrived[1]) / solo)
        elif picture.user_id == MEMBER:
            self.member_waits.append(forwards)


def simulate(
    policy: Policy,
    until: float,
    weights: Mapping[int, float],
    seed: int,
    *,
    mix: Mix = ONE_KEY,
    own: Mapping[int, Key] = NO_KEYS,
    duration: Duration = one_tick,
    depth: int = _ALWAYS_WAITING,
) -> Record:
    """Run a policy through the arrivals of `seed`, the same for every policy. Time is in full forwards.

    `depth`: pictures that a flooding guild has waiting and in the making.
    """
    record, source = Record(), Arrivals(seed, weights, mix, own, depth)
    busy_before: set[int] = set()
    model = ""
    while record.elapsed < until:
        for picture in source.at(record.forwards, record.elapsed):
            policy.arrive(picture)
        stepped = policy.tick()
        record.elapsed += duration(stepped, model)
        record.forwards += 1
        served: dict[int, float] = {}
        for picture in stepped:
            taken = picture.charge / weights.get(picture.guild_id, 1.0)
            served[picture.guild_id] = served.get(picture.guild_id, 0.0) + taken
            if picture.left == 0:
                source.ended(picture)
                record.note_end(picture, picture.steps * duration([picture], picture.key[0]))
        if stepped:
            record.swaps += model not in ("", stepped[0].key[0])
            model = stepped[0].key[0]
        _note_service(record, served, sum(picture.charge for picture in stepped))
        busy = policy.backlogged()
        _note_gaps(record, served, busy & busy_before)
        busy_before = busy
    return record


def _note_service(record: Record, served: Mapping[int, float], cost: float) -> None:
    record.steps += cost
    for guild_id, steps in served.items():
        record.service[guild_id] = record.service.get(guild_id, 0.0) + steps


def _note_gaps(record: Record, served: Mapping[int, float], busy: set[int]) -> None:
    for pair in combinations(HEAVY, 2):
        if not busy.issuperset(pair):
            record.ranges.pop(pair, None)
            continue
        now, low, high = record.ranges.get(pair, (0.0, 0.0, 0.0))
        now += served.get(pair[0], 0.0) - served.get(pair[1], 0.0)
        low, high = min(low, now), max(high, now)
        record.ranges[pair] = (now, low, high)
        record.gap = max(record.gap, high - low)


class Arrivals:
    """The same members for every policy: floods keep their queue long, the others arrive by the clock."""

    def __init__(self, seed: int, weights: Mapping[int, float], mix: Mix, own: Mapping[int, Key], depth: int) -> None:
        self._chance = random.Random(seed)
        self._weights, self._mix, self._own, self._depth = weights, mix, own, depth
        self._number = 0
        self._waiting = dict.fromkeys(FLOODS, 0)
        self._next_burst = 500.0
        self._next_light = {guild_id: float(self._chance.randrange(600)) for guild_id in LIGHT}
        self._next_member = 300.0

    def at(self, forwards: int, now: float) -> list[Picture]:
        """Return who arrives now, in forwards and in time."""
        moment = forwards, now
        arrived = [
            self._picture(guild, steps, moment) for guild, steps in FLOODS.items() for _ in range(self._room(guild))
        ]
        if now >= self._next_burst:
            arrived += [self._picture(BURST_GUILD, BURST_STEPS, moment) for _ in range(BURST_IMAGES)]
            self._next_burst = now + self._chance.randrange(1500, 4000)
        for guild_id in LIGHT:
            if now >= self._next_light[guild_id]:
                arrived.append(self._picture(guild_id, LIGHT_STEPS, moment))
                self._next_light[guild_id] = now + self._chance.randrange(200, 1000)
        if now >= self._next_member:
            arrived.append(self._picture(1, LIGHT_STEPS, moment, user_id=MEMBER))
            self._next_member = now + self._chance.randrange(300, 900)
        return arrived

    def ended(self, picture: Picture) -> None:
        if picture.guild_id in FLOODS and picture.user_id != MEMBER:
            self._waiting[picture.guild_id] -= 1

    def _room(self, guild_id: int) -> int:
        missing = self._depth - self._waiting[guild_id]
        self._waiting[guild_id] += missing
        return missing

    def _picture(self, guild_id: int, steps: int, moment: tuple[int, float], *, user_id: int = 0) -> Picture:
        self._number += 1
        name, weight = f"image{self._number}", self._weights.get(guild_id, 1.0)
        keys, shares = zip(*self._mix, strict=True)
        key = self._own.get(guild_id) or self._chance.choices(keys, shares)[0]
        order = GenerateCommand(
            image_id=name, attempt=1, spec=_SPECS[key[0]], share=Share(guild_id, weight, user_id=user_id)
        )
        charge = CHARGES.get(key[0], 1.0)
        return Picture(
            name, guild_id, user_id, steps, moment, order, serial=self._number, left=steps, key=key, charge=charge
        )


def _spec(model: str) -> ImageSpec:
    return ImageSpec(
        prompt="-", model=model, width_px=512, height_px=512, steps=20, guidance=7.0, sampler="Euler", seed=0
    )


_SPECS = {model: _spec(model) for model in ("one model", "common", "rare", *CHARGES)}
