"""The Ray driver process: `python -m generation.fleet.ray_driver`, which the bot starts, supervises and may kill.

Ray is here and not in the bot: when Ray's head dies it ends the process that holds its driver, from C++ and without an
exception, and to connect to an address where nothing answers blocks for minutes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from io import RawIOBase
from types import MappingProxyType
from typing import Any

import msgspec
import ray

from generation.fleet.address import FleetAddressError, parse_address, require_private_name
from generation.fleet.messages import (
    Connected,
    DriverConfig,
    DriverFailed,
    DriverMessage,
    FleetReport,
    MemberFacts,
    MemberSeen,
    MembersSeen,
    OfferModels,
    ReleaseMember,
    decode_bot_message,
    decode_driver_config,
    decode_facts,
)
from generation.fleet.ray_member import NAMESPACE, MemberConnection, Place, call
from generation.fleet.ray_resources import CPU_MEMBERS
from generation.workers.frames import encode
from generation.workers.pipes import Wire, claim_stdout, die_with_parent, open_stdin, read_frame

Send = Callable[[DriverMessage], None]
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


def list_places(known: Mapping[str, str] = _NO_NAMES) -> dict[str, Place]:
    """Return every card in the fleet by the name of its member. `known`: the names of actors so far. Blocks."""
    return name_places((node for node in ray.nodes() if node["Alive"]), known)


def name_places(nodes: Iterable[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, Place]:
    """Return the cards of these nodes by name. An actor keeps its name: one that is at work must not leave the fleet
    and join it again because another machine of the same name comes or goes."""
    found = [place for node in sorted(nodes, key=lambda node: str(node["NodeID"])) for place in _places_of(node)]
    places: dict[str, Place] = {}
    for place in sorted(found, key=lambda place: place.seen.actor not in known):
        name = known.get(place.seen.actor, place.seen.name)
        if name in places:  # two machines of one name
            name = f"{place.seen.name}-{place.node_id[:6]}"
        places[name] = replace(place, seen=msgspec.structs.replace(place.seen, name=name))
    return places


def _places_of(node: Mapping[str, Any]) -> Iterator[Place]:
    node_id, machine = str(node["NodeID"]), str(node["NodeName"])
    resources = node["Resources"]
    cards, processors = int(resources.get("GPU", 0)), int(resources.get(CPU_MEMBERS, 0))
    kind = next((key.split(":", 1)[1] for key in resources if key.startswith("accelerator_type:")), "card")
    for index in range(cards or processors):
        seen = MemberSeen(
            name=f"{machine}-{index}",
            actor=f"atelier-{node_id[:16]}-{index}",
            device=f"{kind} of {machine}" if cards else f"processor of {machine}",
        )
        yield Place(seen, node_id, machine, num_gpus=1 if cards else 0)


class Driver:
    """Holds a connection to each member, as machines come and go."""

    def __init__(self, config: DriverConfig, send: Send) -> None:
        self._config, self._send = config, send
        self._connections: dict[str, MemberConnection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, str] = {}
        self._said: MembersSeen | None = None

    async def run(self) -> None:
        """Look after the members until cancelled."""
        while True:
            known = {each.place.seen.actor: name for name, each in self._connections.items()}
            places = await asyncio.wait_for(asyncio.to_thread(list_places, known), self._config.start_s)
            await self._follow(places)
            await asyncio.sleep(self._config.look_s)

    async def take(self, body: bytes) -> None:
        """Take one message of the bot."""
        message = decode_bot_message(body)
        if isinstance(message, OfferModels):
            self._config = msgspec.structs.replace(self._config, worker=message.worker)
            for each in self._connections.values():
                each.offer(self._config, message.update)
            return
        connection = self._connections.get(message.member)
        if connection is None:
            return
        if isinstance(message, ReleaseMember):
            if message.actor == connection.place.seen.actor:
                await connection.release()
        else:
            connection.give(message.life, message.body)

    async def _follow(self, places: dict[str, Place]) -> None:
        for name in list(self._connections):
            if name not in places or places[name].seen.actor != self._connections[name].place.seen.actor:
                await self._drop(name)
        self._tell(tuple(place.seen for place in places.values()))
        for name, place in places.items():
            if name not in self._connections:
                connection = MemberConnection(place, self._config, self._send, self._refuse)
                self._connections[name] = connection
                self._tasks[name] = asyncio.create_task(connection.run(), name=f"connection to {name}")

    async def _drop(self, name: str) -> None:
        del self._connections[name]
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        self._refused.pop(name, None)

    async def _refuse(self, name: str, reason: str) -> None:
        """Note why a member cannot be used; empty: it can."""
        if self._refused.get(name, "") != reason:
            self._refused[name] = reason
            self._refused = {each: why for each, why in self._refused.items() if why}
            self._tell(tuple(connection.place.seen for connection in self._connections.values()))

    def _tell(self, members: tuple[MemberSeen, ...]) -> None:
        said = MembersSeen(members=members, refused=dict(self._refused))
        if said != self._said:
            self._said = said
            self._send(said)


async def answer(config: DriverConfig, send: Send) -> None:
    """Answer one question about the fleet."""
    what, _, name = config.question.partition(" ")
    members, unused, refused = {}, [], {}
    for place in (await asyncio.to_thread(list_places)).values():
        is_meant = name in (place.seen.name, place.machine)
        try:
            actor = await asyncio.to_thread(ray.get_actor, place.seen.actor, NAMESPACE)
            if what in ("drain", "undrain") and is_meant:
                await call(actor.drain, what == "drain", within_s=config.wait_s)
            members[place.seen.name] = await describe(actor, config)
        except ValueError:
            unused.append(place.seen.name)
        except (ray.exceptions.RayError, TimeoutError) as error:
            refused[place.seen.name] = f"It does not answer ({type(error).__name__})."
    send(FleetReport(members=members, unused=tuple(unused), refused=refused))


async def describe(actor: Any, config: DriverConfig) -> MemberFacts:
    """Return what a member says of itself, its clock as compared with this one."""
    asked_at = time.time()
    facts = decode_facts(await call(actor.describe, within_s=config.wait_s))
    ahead_s = facts.clock_s - (asked_at + time.time()) / 2
    return msgspec.structs.replace(facts, clock_s=ahead_s)


def connect(address: str) -> None:
    """Connect to Ray's head. Raise `FleetAddressError` if that is a public address. Blocks."""
    require_private_name(*parse_address(address))
    ray.init(
        address=address,
        namespace=NAMESPACE,
        log_to_driver=False,
        configure_logging=False,
        **({"_node_ip_address": "127.0.0.1"} if _is_loopback(address) else {}),
    )
    ray.put(b"")  # what Ray packs values with takes a quarter of a second to load: now, not when a member waits


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except (OSError, ValueError):
        return False


def _listen(source: RawIOBase, loop: asyncio.AbstractEventLoop, inbox: asyncio.Queue[bytes | None]) -> None:
    """Read what the bot says, and None at its end."""
    body: bytes | None = b""
    while body is not None:
        body = read_frame(source)
        loop.call_soon_threadsafe(inbox.put_nowait, body)


async def _drive(config: DriverConfig, source: RawIOBase, send: Send) -> None:
    inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_listen, args=(source, loop, inbox), name="inbox", daemon=True).start()
    driver = Driver(config, send)

    async def take_all() -> None:
        while (body := await inbox.get()) is not None:
            await driver.take(body)
        os._exit(0)  # the bot is gone; members stay warm for the next

    async def say_it_lives() -> None:
        while True:
            send(Connected())
            await asyncio.sleep(config.look_s)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(driver.run())
        tasks.create_task(say_it_lives())
        tasks.create_task(take_all())


def main(address: str, parent_pid: str) -> int:
    wire = Wire(claim_stdout())
    source = open_stdin()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the bot decides, and can kill
    die_with_parent(int(parent_pid))

    def send(message: DriverMessage) -> None:
        wire.write(encode(message))

    try:
        connect(address)
    except FleetAddressError as public:
        send(DriverFailed(str(public)))
        return 3
    except Exception as error:  # whatever Ray raises, the operator is told in its words
        send(DriverFailed(f"Ray at {address} cannot be used ({type(error).__name__}: {str(error)[:300]})."))
        return 3
    first = read_frame(source)
    if first is None:
        return 0
    config = decode_driver_config(first)
    if config.question:
        asyncio.run(answer(config, send))
    else:
        asyncio.run(_drive(config, source, send))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
