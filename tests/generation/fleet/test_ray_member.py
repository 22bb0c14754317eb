"""How the driver names and holds members, without a cluster: what it passes on, and what it keeps back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

pytest.importorskip("ray", reason="the extra `fleet` is not installed")

from generation.fleet.member_host import MemberHost
from generation.fleet.messages import DriverConfig, FromMember, Life, MemberSeen, decode_said, encode_body
from generation.fleet.ray_driver import name_places
from generation.fleet.ray_member import MemberConnection, Place
from generation.fleet.ray_resources import CPU_MEMBERS
from generation.fleet.version import find_version
from generation.jobs.protocol import Event, Finished, GenerateCommand, Ready, WorkerLost
from generation.workers.frames import StartupFailed, WorkerConfig
from tests.generation.fleet.orders import a_model, an_order
from tests.patience import PATIENCE_S

WORKER = WorkerConfig(models=(a_model(),), engine="bench.light_engine:LightEngine", nice=0)
CONFIG = DriverConfig(
    epoch=1, version=find_version(), worker=encode_body(WORKER), wait_s=PATIENCE_S, start_s=PATIENCE_S
)


class Method:
    """A method of an actor, as its handle has it. Calls wait while `gate` is closed."""

    def __init__(self, method: Callable[..., Awaitable[Any]], gate: asyncio.Event) -> None:
        self._method, self._gate = method, gate

    async def remote(self, *arguments: object) -> Any:
        await self._gate.wait()
        return await self._method(*arguments)


class Handle:
    """A real member in the place of an actor; the way for commands can be closed."""

    def __init__(self, host: MemberHost) -> None:
        self.way = asyncio.Event()
        self.way.set()
        is_open = asyncio.Event()
        is_open.set()
        self.attach, self.poll = Method(host.attach, is_open), Method(host.poll, is_open)
        self.command = Method(host.command, self.way)


async def test_an_order_that_waits_while_its_engine_is_lost_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bot counts it as lost and orders it again: the member must not paint both."""
    host = MemberHost(machine="box", environment={}, orphan_s=PATIENCE_S)
    handle = Handle(host)
    monkeypatch.setattr("generation.fleet.ray_member.make_actor", lambda *_: handle)
    said: list[Event | StartupFailed] = []
    heard, life = asyncio.Condition(), Life(0)

    def hear(message: FromMember) -> None:
        nonlocal life
        life = message.life
        said.extend(decode_said(message.body))
        asyncio.get_running_loop().create_task(tell())

    async def tell() -> None:
        async with heard:
            heard.notify_all()

    async def until(kind: type, number: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S), heard:
            await heard.wait_for(lambda: sum(isinstance(each, kind) for each in said) >= number)

    async def note(*_: object) -> None:
        pass

    def give(order: GenerateCommand) -> None:
        connection.give(life, encode_body(order))

    seen = MemberSeen(name="box-0", actor="a")
    connection = MemberConnection(Place(seen, "node", "box", 0), CONFIG, hear, note)
    running = asyncio.create_task(connection.run())
    await until(Ready)
    handle.way.clear()
    give(an_order(image_id="on-its-way-0"))
    give(an_order(image_id="waits-0"))
    pid = host.build_state().pid
    assert pid is not None
    psutil.Process(pid).kill()
    await until(WorkerLost)
    await until(Ready, 2)
    handle.way.set()
    give(an_order(image_id="after-0"))
    await until(Finished)
    running.cancel()
    await asyncio.wait([running])
    await host.close()
    assert [each.image_id for each in said if isinstance(each, Finished)] == ["after-0"]


def a_node(node_id: str, machine: str) -> dict[str, Any]:
    return {"NodeID": node_id, "NodeName": machine, "Resources": {CPU_MEMBERS: 1.0}}


def test_an_actor_keeps_its_name_when_machines_of_the_same_name_come_and_go() -> None:
    """A machine that lost power is back before Ray has noticed: what it paints then is not taken from it."""
    before, after = a_node("bbbbbbbb", "attic"), a_node("aaaaaaaa", "attic")
    first = name_places([before], {})
    assert list(first) == ["attic-0"]
    known = {place.seen.actor: name for name, place in first.items()}
    both = name_places([before, after], known)
    assert {name: place.node_id for name, place in both.items()} == {
        "attic-0": "bbbbbbbb",
        "attic-0-aaaaaa": "aaaaaaaa",
    }
    known = {place.seen.actor: name for name, place in both.items()}
    left = name_places([after], known)
    assert list(left) == ["attic-0-aaaaaa"] and left["attic-0-aaaaaa"].seen.name == "attic-0-aaaaaa"
    third = a_node("cccccccc", "attic")
    assert set(name_places([third, after], known)) == {"attic-0", "attic-0-aaaaaa"}
