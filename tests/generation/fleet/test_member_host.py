"""A member on its machine, without Ray: the fence, what is dropped, and what ends by itself. Real engine processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import psutil
import pytest
import pytest_asyncio

from bench.light_engine import ENGINE
from generation.fleet.member_host import MemberHost
from generation.fleet.messages import (
    Attached,
    MemberFacts,
    Refused,
    decode_attached,
    decode_facts,
    decode_polled,
    decode_said,
    encode_body,
)
from generation.fleet.version import find_version
from generation.jobs.protocol import Cancel, Cancelled, Event, Finished, Progress, Ready, UpdateModels, WorkerLost
from generation.workers.frames import DEFAULT_ENGINE, StartupFailed, WorkerConfig
from tests.generation.fleet.orders import ENDLESS, a_model, a_spec, an_order
from tests.patience import PATIENCE_S, until

CODE = find_version().code
CONFIG = WorkerConfig(models=(a_model(),), engine=ENGINE, nice=0)


class Bot:
    """One bot's calls of a member, and where it has read to."""

    def __init__(self, host: MemberHost, epoch: int) -> None:
        self.host, self.epoch, self.after, self.losses = host, epoch, 0, 0

    async def attach(self, config: WorkerConfig = CONFIG, *, code: str = CODE) -> Attached | Refused:
        said = decode_attached(await self.host.attach(self.epoch, find_version().program, code, encode_body(config)))
        if isinstance(said, Attached):
            self.after, self.losses = said.after, said.num_losses
        return said

    async def give(self, command: object) -> None:
        await self.host.command(self.epoch, self.losses, encode_body(command))

    async def poll(self) -> list[Event | StartupFailed]:
        polled = decode_polled(await self.host.poll(self.epoch, self.after, PATIENCE_S))
        self.after, self.losses = polled.last, polled.num_losses
        return decode_said(polled.body)

    async def until(self, kind: type) -> list[Event | StartupFailed]:
        said: list[Event | StartupFailed] = []
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(each, kind) for each in said):
                said += await self.poll()
        return said

    async def ready(self) -> None:
        """Attach, and wait for the engine."""
        said = await self.attach()
        assert isinstance(said, Attached)
        if not decode_said(said.body):
            await self.until(Ready)


@pytest_asyncio.fixture
async def host() -> AsyncIterator[MemberHost]:
    made = MemberHost(machine="box2", device="card 0", environment={}, orphan_s=600.0)
    yield made
    await made.close()


async def facts(host: MemberHost) -> MemberFacts:
    return decode_facts(await host.describe())


async def test_a_newer_bot_finds_the_engine_warm_and_the_older_is_refused(host: MemberHost) -> None:
    old, new = Bot(host, 1), Bot(host, 2)
    await old.ready()
    pid = host.build_state().pid
    await old.give(an_order(ENDLESS, image_id="old-0"))
    await old.until(Progress)
    said = await new.attach()
    assert isinstance(said, Attached) and isinstance(decode_said(said.body)[0], Ready)
    assert host.build_state().pid == pid, "no other engine was started"
    for call in (old.poll(), old.give(an_order(image_id="late-0")), old.attach()):
        with pytest.raises(PermissionError, match="epoch 1 is over"):
            await call
    await new.give(an_order(image_id="new-0"))
    heard = await new.until(Finished)
    ends = [each.image_id for each in heard if isinstance(each, Finished)]
    assert ends == ["new-0"], "what the old bot had there ends without a picture"


async def test_when_something_happened_is_told_with_the_clock_it_is_told_by(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.ready()
    await bot.give(an_order(ENDLESS))
    await bot.until(Progress)
    before_s = time.monotonic()
    polled = decode_polled(await host.poll(1, bot.after, PATIENCE_S))
    assert all(
        each.at_s and each.at_s <= polled.now_s for each in decode_said(polled.body) if isinstance(each, Progress)
    )
    assert before_s <= polled.now_s <= time.monotonic()


async def test_a_poll_that_waits_while_another_bot_comes_is_refused(host: MemberHost) -> None:
    old, new = Bot(host, 1), Bot(host, 2)
    await old.ready()
    waiting = asyncio.create_task(old.poll())
    await asyncio.sleep(0)
    await new.attach()
    await new.give(an_order())
    with pytest.raises(PermissionError):
        await waiting
    assert any(isinstance(each, Finished) for each in await new.until(Finished))


async def test_an_order_given_before_its_bot_heard_of_a_loss_is_dropped(host: MemberHost) -> None:
    """Its bot counts it as lost and orders it again: both would be painted at once, under one id."""
    bot = Bot(host, 1)
    await bot.ready()
    pid = host.build_state().pid
    assert pid is not None
    psutil.Process(pid).kill()
    await until(lambda: host.build_state().report.model_sha256 and host.build_state().pid != pid)
    await bot.give(an_order(image_id="stale-0"))  # it has not polled since
    said = await bot.until(Ready)
    assert any(isinstance(each, WorkerLost) for each in said)
    await bot.give(an_order(image_id="fresh-0"))
    assert {each.image_id for each in await bot.until(Finished) if isinstance(each, Finished)} == {"fresh-0"}


async def test_other_code_is_refused_with_both_versions(host: MemberHost) -> None:
    said = await Bot(host, 1).attach(code="0123456789ab")
    assert isinstance(said, Refused) and said.is_outdated
    assert "box2 runs Atelier " in said.reason and "0123456789ab" in said.reason
    assert (await facts(host)).num_slots == 0, "nothing was started for it"


async def test_a_member_without_a_bot_cancels_what_it_paints_and_keeps_its_engine(host: MemberHost) -> None:
    host._orphan_s = 0.0
    bot = Bot(host, 1)
    await bot.ready()
    await bot.give(an_order(ENDLESS))
    await bot.until(Progress)
    await host.look_after()
    assert any(isinstance(each, Cancelled) for each in await bot.until(Cancelled))
    assert (await facts(host)).num_slots > 0


async def test_a_member_that_hears_its_bot_goes_on(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.ready()
    await bot.give(an_order(ENDLESS))
    await bot.until(Progress)
    await host.look_after()
    await bot.give(Cancel(image_id="a-0", attempt=2))  # another attempt: nothing happens
    assert not any(isinstance(each, Cancelled) for each in await bot.until(Progress))


async def test_a_drained_member_ends_its_engine_when_it_is_let_go_and_waits(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.ready()
    pid = host.build_state().pid
    await host.drain(True)
    polled = decode_polled(await host.poll(1, bot.after, PATIENCE_S))
    assert polled.state is not None and polled.state.is_draining, "its bot is told at once"
    await host.release(1)
    assert pid is not None and not psutil.pid_exists(pid)
    said = await bot.attach()
    assert isinstance(said, Refused) and not said.is_outdated and "is drained" in said.reason
    await host.drain(False)
    await bot.ready()
    assert (await facts(host)).num_slots > 0


async def test_a_bot_that_lets_go_leaves_the_engine_warm_and_idle(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.ready()
    await bot.give(an_order(ENDLESS))
    await host.release(1)
    assert any(isinstance(each, Cancelled) for each in await bot.until(Cancelled))
    assert (await facts(host)).num_slots > 0


async def test_a_machine_without_the_models_says_so(host: MemberHost) -> None:
    wanted = msgspec.structs.replace(CONFIG, engine=DEFAULT_ENGINE)
    said = await Bot(host, 1).attach(wanted)
    assert isinstance(said, Attached) and not decode_said(said.body)
    assert "has no SHA-256" in said.state.missing["toy"]
    assert (await facts(host)).missing == said.state.missing


async def test_an_engine_that_cannot_be_built_there_is_an_event(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.attach(msgspec.structs.replace(CONFIG, models=(a_model("unfit"),)))
    said = await bot.until(StartupFailed)
    assert "cannot be loaded" in said[-1].message
    assert "cannot be loaded" in (await facts(host)).trouble


async def test_models_that_are_offered_later_are_painted_with(host: MemberHost) -> None:
    bot = Bot(host, 1)
    await bot.ready()
    await bot.give(UpdateModels(models=(a_model("other"),)))
    await bot.give(an_order(a_spec(model="other"), image_id="b-0"))
    await bot.until(Finished)
    assert set((await facts(host)).models) == {"other"}
