"""What happens to a fleet: which kind, to whom, and how."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence

import psutil

from bench._lives import Life
from generation.failpoints import NAMES, OF_WORKER
from tests.postgres import Server
from tests.reliability.database_faults import END_SESSIONS, RESTART, strike
from tests.reliability.fleet.machines import Machine, find_processes, signal_all
from tests.reliability.fleet.ray_fleet import RayFleet
from tests.reliability.fleet.trace import HERE, Trace

OF_MEMBER = {"engine": 5, "actor": 5, "freeze": 2, "partition": 2, "node": 1.5}
OF_ALL = {"driver": 3, "bot": 3, "database": 3, "head": 1}
"""Kinds and their weights."""
EVERYWHERE = ("bot", "database")
"""Kinds that also concern the bot's own worker."""
_AT_ALL = 0.3
_DEADLY = 3
"""An image that was lost so often is given up: at least one of its losses is not to come from here."""
_MOST_S, _LONGEST_S = 25.0, 90.0
"""That a machine stands still or is cut off: mostly, and at times, until Ray gives the machine up."""
_IS_LONG = 0.1
_AGAIN = 0.01
"""How often, at each of many looks, work may be struck that was lost once: it is tried alone then, which takes long."""
_PATIENCE_S = 4.0
"""How long to wait for a machine that gets on, when only the bot's own worker does."""
_ENGINE, _ACTOR, _DRIVER = "generation.workers.child", "ray::RayWorkerActor", "generation.fleet.ray_driver"


class Strikes:
    """`only`: kinds to draw from, all if empty."""

    def __init__(
        self, fleet: RayFleet, trace: Trace, chance: random.Random, only: Sequence[str], *, has_server: bool
    ) -> None:
        self._fleet, self._trace, self._chance = fleet, trace, chance
        self._of_member = {kind: weight for kind, weight in OF_MEMBER.items() if not only or kind in only}
        self._of_all = {
            kind: weight
            for kind, weight in OF_ALL.items()
            if (not only or kind in only) and (has_server or kind != "database")
        }
        self._machines = {f"{machine.name}-0": machine for machine in fleet.machines}
        self._troubled: dict[str, asyncio.Task[None]] = {}
        """Members whose machine stands still or is cut off, and what ends that."""

    # Which.

    def draw_kind_for_all(self) -> str | None:
        """Return a kind that concerns more than one member; None if the next one is to concern one."""
        if not self._of_all or (self._of_member and self._chance.random() > _AT_ALL):
            return None
        return self._chance.choices([*self._of_all], [*self._of_all.values()])[0]

    def draw_kind(self, member: str) -> str:
        if member == HERE:
            return "engine"
        return self._chance.choices([*self._of_member], [*self._of_member.values()])[0]

    def draw_failpoint(self) -> str:
        """Return where a bot dies by itself, if anywhere."""
        if "bot" not in self._of_all or self._chance.random() < 0.6:
            return ""
        name = self._chance.choice([each for each in NAMES if each not in OF_WORKER])
        return f"{name}:{self._chance.randint(20, 60)}"

    def are_all_up(self) -> bool:
        return all(machine.find(_ACTOR) and machine.find(_ENGINE) for machine in self._fleet.machines)

    def list_able(self, *, waited_s: float) -> list[str]:
        """Return members that get on with something and may be struck: machines, and after a while the bot's own."""
        able = [name for name in self._machines if name not in self._troubled and self._may_strike(name)]
        is_due = (waited_s > _PATIENCE_S or self._chance.random() < 0.03) and "engine" in self._of_member
        if is_due and self._may_strike(HERE):
            able.append(HERE)
        return able

    def _may_strike(self, name: str) -> bool:
        """Return whether a member gets on with something that may be lost; mostly: that was not lost before."""
        work = self._trace.at_work(name)
        is_fresh = not any(self._trace.losses.get(each) for each in work)
        return bool(work) and self.may_lose(work) and (is_fresh or self._chance.random() < _AGAIN)

    def may_lose(self, work: Mapping[str, int]) -> bool:
        """Return whether these images are far enough from being given up, with what is about to happen to them."""
        threatened = {image_id for name in self._troubled for image_id in self._trace.held[name]}
        losses = self._trace.losses
        return all(losses.get(each, 0) + (each in threatened) + 1 < _DEADLY for each in work)

    # How.

    async def hit(self, kind: str, member: str, life: Life) -> bool:
        """Strike at one member; return whether there was something to strike."""
        if member == HERE:
            return _signal_child(life, _ENGINE, signal.SIGKILL)
        machine = self._machines[member]
        match kind:
            case "engine" | "actor":
                struck = machine.find(_ENGINE if kind == "engine" else _ACTOR)
                signal_all(struck, signal.SIGKILL)
                return bool(struck)
            case "node":
                machine.kill()
            case "freeze":
                machine.freeze()
                self._troubled[member] = asyncio.create_task(self._end_later(member, machine))
            case "partition":
                machine.pull_cable()
                self._troubled[member] = asyncio.create_task(self._end_later(member, machine))
        return True

    def hit_driver(self, life: Life) -> None:
        """Kill the bot's driver, or have it hang."""
        _signal_child(life, _DRIVER, signal.SIGSTOP if self._chance.random() < 0.25 else signal.SIGKILL)

    async def hit_database(self, server: Server, address: str) -> None:
        await strike(server, address, self._chance.choice((RESTART, END_SESSIONS)), self._chance)

    async def undo_all(self) -> None:
        """Let every machine go on, in the network."""
        for member in list(self._troubled):
            self._troubled.pop(member).cancel()
            self._machines[member].wake()
            self._machines[member].plug_in()

    async def _end_later(self, member: str, machine: Machine) -> None:
        longest_s = _LONGEST_S if self._chance.random() < _IS_LONG else _MOST_S
        await asyncio.sleep(self._chance.uniform(1, longest_s))
        machine.wake()
        machine.plug_in()
        del self._troubled[member]


def _signal_child(life: Life, what: str, number: signal.Signals) -> bool:
    """Send the signal to a child of a bot; return whether there was one."""
    try:
        found = find_processes(psutil.Process(life.pid).children(), what)
    except psutil.Error:
        return False
    signal_all(found, number)
    return bool(found)
