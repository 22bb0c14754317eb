"""A flood from one server delays no other server's request: neither by its number nor by holding every place."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from generation.errors import CrowdedError
from generation.fair_turns import MAX_WAITING_OF_GUILD, MAX_WAITING_OF_MEMBER, FairTurns
from generation.owner import Owner

ADA, BO, CY, FAR = Owner(1, 100), Owner(1, 101), Owner(1, 102), Owner(2, 200)


class Line(Protocol):
    def turn(self, owner: Owner) -> AbstractAsyncContextManager[None]: ...


class FirstCome:
    """The control: first come, first served."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    def turn(self, owner: Owner) -> AbstractAsyncContextManager[None]:
        return self._places


class Room:
    """Requests that arrive at a queue, and the holders of its places."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.inside: list[Owner] = []
        self.order: list[Owner] = []
        self._leave: dict[int, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, *owners: Owner) -> list[asyncio.Task[None]]:
        coming = [asyncio.create_task(self._stay(owner)) for owner in owners]
        self._tasks += coming
        await self.settle()
        return coming

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()  # or asyncio reports it when it is collected, in the midst of another test

    async def leave(self, owner: Owner) -> None:
        """End one of that owner's turns."""
        self._leave[id(owner)].set()
        await self.settle()

    async def empty(self) -> list[Owner]:
        """End one turn after another; return the order of admission."""
        while self.inside:
            await self.leave(self.inside[0])
        return self.order

    async def _stay(self, owner: Owner) -> None:
        async with self.line.turn(owner):
            self.order.append(owner)
            self.inside.append(owner)
            leave = self._leave[id(owner)] = asyncio.Event()
            await leave.wait()
            self.inside.remove(owner)


def members(guild_id: int, number: int) -> list[Owner]:
    return [Owner(guild_id, 100 + index) for index in range(number)]


@pytest.mark.parametrize("is_fair", [True, False])
async def test_another_servers_request_is_served_before_the_rest_of_a_flood(is_fair: bool) -> None:
    room = Room(FairTurns(1, of_guild=1, of_member=1) if is_fair else FirstCome(1))
    await room.come(*members(1, 20))
    await room.come(FAR)
    place = (await room.empty()).index(FAR)
    assert place == (1 if is_fair else 20), "and first come, first served, the control, serves it last"


async def test_a_server_never_holds_every_place() -> None:
    room = Room(FairTurns(3, of_guild=2, of_member=1))
    await room.come(*members(1, 10))
    assert len(room.inside) == 2
    await room.come(FAR)
    assert FAR in room.inside, "without waiting for anything to end"


async def test_inside_a_server_members_take_turns() -> None:
    room = Room(FairTurns(1, of_guild=1, of_member=1))
    await room.come(ADA)
    await room.come(*(Owner(1, 100) for _ in range(5)), BO, CY)
    served = await room.empty()
    assert served[1:3] == [BO, CY]


async def test_a_member_holds_no_more_than_their_part() -> None:
    room = Room(FairTurns(4, of_guild=4, of_member=2))
    await room.come(*(Owner(1, 100) for _ in range(6)))
    assert len(room.inside) == 2
    await room.come(BO)
    assert room.inside.count(BO) == 1


async def test_only_requests_beyond_the_limit_are_refused() -> None:
    room = Room(FairTurns(1, of_guild=1, of_member=1))
    coming = await room.come(*(Owner(1, 100) for _ in range(1 + MAX_WAITING_OF_MEMBER + 1)))
    assert [type(task.exception()) for task in coming if task.done()] == [CrowdedError]
    many = members(3, MAX_WAITING_OF_GUILD + 2)
    coming = await room.come(*many)
    assert len([task for task in coming if task.done()]) == 2
    await room.come(FAR)
    assert FAR in await room.empty()


async def test_a_cancelled_request_frees_its_place() -> None:
    turns = FairTurns(1, of_guild=1, of_member=1)
    room = Room(turns)
    (inside,) = await room.come(ADA)
    waiting = await room.come(BO, FAR)
    for task in (waiting[0], inside):
        task.cancel()
    await room.settle()
    assert room.order == [ADA, FAR]
    waiting[1].cancel()
    await asyncio.gather(inside, *waiting, return_exceptions=True)
    async with turns.turn(CY):
        pass
    assert (turns._free, dict(turns._held), turns._served, turns._waiting) == (1, {}, {}, [])


async def test_a_place_given_to_a_cancelled_request_is_passed_on() -> None:
    turns = FairTurns(1, of_guild=1, of_member=1)
    room = Room(turns)
    await room.come(ADA)
    (second,) = await room.come(BO)
    third = (await room.come(FAR))[0]
    room._leave[id(ADA)].set()
    await asyncio.sleep(0)  # the place is given, and its holder does not run yet
    second.cancel()
    third.cancel()
    await asyncio.gather(second, third, return_exceptions=True)
    async with asyncio.timeout(10), turns.turn(CY):
        pass


async def test_in_any_order_no_place_is_lost_and_no_limit_is_passed() -> None:
    generator = random.Random(5)
    turns = FairTurns(4, of_guild=2, of_member=1)
    room = Room(turns)
    everyone = [Owner(guild, user) for guild in range(4) for user in range(3)]
    for _ in range(400):
        if room.inside and generator.random() < 0.5:
            await room.leave(generator.choice(room.inside))
        elif len(turns._waiting) < 8:
            await room.come(replaced(generator.choice(everyone)))
        held = [owner.guild_id for owner in room.inside]
        assert len(held) <= 4
        assert all(held.count(guild) <= 2 for guild in held)
        assert len(set(room.inside)) == len(room.inside)
        free = 4 - len(held)
        assert not free or all(
            held.count(each.owner.guild_id) == 2 or each.owner in room.inside for each in turns._waiting
        ), "a place is free, and one who may have it waits"
    await room.empty()
    assert (turns._free, turns._served) == (4, {})


def replaced(owner: Owner) -> Owner:
    """Another object that is equal: turns of one member are told apart."""
    return Owner(owner.guild_id, owner.user_id)
