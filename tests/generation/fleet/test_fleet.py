"""A bot and its fleet over a real Ray cluster on loopback: what dies, hangs, is refused or comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import psutil
import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="the extra `fleet` is not installed")

from bench.light_engine import ENGINE
from generation.fleet.address import FleetAddress
from generation.fleet.driver_process import spawn_driver
from generation.fleet.messages import DriverConfig, MemberFacts, encode_body
from generation.fleet.query import FleetOutOfReachError, ask_fleet
from generation.fleet.version import find_version, list_libraries
from generation.jobs.protocol import Finished, Progress, Ready, WorkerLost
from generation.workers.frames import WorkerConfig
from tests.generation.fleet.fleet_harness import OpenFleet, collect_until, open_cluster, start_bot
from tests.generation.fleet.orders import ENDLESS, a_model, an_order
from tests.generation.fleet.ray_cluster import RayCluster
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORKER = WorkerConfig(models=(a_model(),), engine=ENGINE, nice=0)
QUESTION = DriverConfig(epoch=0, version=find_version(), wait_s=5.0)
_epochs = iter(range(1, 1000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[RayCluster]:
    async with open_cluster() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def bot(cluster: RayCluster) -> AsyncIterator[OpenFleet]:
    """A bot that is newer than those before."""
    started = start_bot(cluster, WORKER, epoch=next(_epochs), wait_s=1.0)
    yield started
    await started.end()


def actors(cluster: RayCluster) -> list[psutil.Process]:
    return cluster.find("ray::RayWorkerActor")


async def test_a_restarted_bot_finds_the_engine_warm(cluster: RayCluster, bot: OpenFleet) -> None:
    member = await bot.fetch_member()
    await collect_until(member.events(), Ready)
    pid = member.pid
    await member.admit(an_order(ENDLESS))
    await bot.end()
    driver = await spawn_driver(cluster.address)  # before it is known which bot it is
    newer = start_bot(cluster, WORKER, epoch=next(_epochs), driver=driver)
    member = await newer.fetch_member()
    events = member.events()
    assert isinstance((await collect_until(events, Ready))[0], Ready)
    assert member.pid == pid, "the same process of the same engine"
    assert newer.fleet.pid == driver.pid
    await member.admit(an_order(image_id="b-0"))
    assert {each.image_id for each in await collect_until(events, Finished) if isinstance(each, Finished)} == {"b-0"}
    await newer.end()
    assert driver.returncode is not None


@pytest.mark.long
@pytest.mark.parametrize(("how", "why"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "was silent")])
async def test_the_bot_outlives_its_driver_and_attaches_again(bot: OpenFleet, how: signal.Signals, why: str) -> None:
    member = await bot.fetch_member()
    events = member.events()
    await collect_until(events, Ready)
    pid = member.pid
    await member.admit(an_order(ENDLESS))
    await collect_until(events, Progress)
    assert bot.fleet.pid is not None
    os.kill(bot.fleet.pid, how)
    lost = (await collect_until(events, WorkerLost))[-1]
    assert isinstance(lost, WorkerLost) and why in lost.reason
    with pytest.raises(ConnectionError):
        await member.admit(an_order(image_id="too-early-0"))
    await collect_until(events, Ready)
    assert member.pid == pid
    await member.admit(an_order(image_id="b-0"))
    assert isinstance((await collect_until(events, Finished))[-1], Finished)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_an_actor_that_dies_or_freezes_is_given_up_and_replaced(
    cluster: RayCluster, bot: OpenFleet, how: signal.Signals
) -> None:
    """Ray says nothing of a process that hangs: the deadline of the poll does."""
    member = await bot.fetch_member()
    events = member.events()
    await collect_until(events, Ready)
    pid = member.pid
    await member.admit(an_order(ENDLESS))
    await collect_until(events, Progress)
    (actor,) = actors(cluster)
    actor.send_signal(how)
    lost = (await collect_until(events, WorkerLost))[-1]
    assert isinstance(lost, WorkerLost)
    assert how is not signal.SIGKILL or lost.reason == "its process is gone", "heard of before another is there"
    await collect_until(events, Ready)
    assert not actor.is_running() and member.pid != pid
    assert pid is not None and not psutil.pid_exists(pid), "its engine went with it"
    await member.admit(an_order(image_id="b-0", attempt=2))
    assert isinstance((await collect_until(events, Finished))[-1], Finished)


@pytest.mark.long
async def test_an_older_bot_that_goes_on_is_refused(cluster: RayCluster, bot: OpenFleet) -> None:
    """A zombie: its database belongs to another by now, and so do the members."""
    member = await bot.fetch_member()
    events = member.events()
    await collect_until(events, Ready)
    await member.admit(an_order(ENDLESS))
    await collect_until(events, Progress)
    newer = start_bot(cluster, WORKER, epoch=next(_epochs))
    theirs = await newer.fetch_member()
    their_events = theirs.events()
    await collect_until(their_events, Ready)
    lost = (await collect_until(events, WorkerLost))[-1]
    assert isinstance(lost, WorkerLost) and "another bot" in lost.reason
    await until(lambda: "is over" in bot.fleet.refused.get("box-0", ""))
    await theirs.admit(an_order(image_id="new-0"))
    assert {each.image_id for each in await collect_until(their_events, Finished) if isinstance(each, Finished)} == {
        "new-0"
    }
    await newer.end()


@pytest.mark.long
async def test_other_code_is_refused_and_the_same_code_taken(cluster: RayCluster) -> None:
    bot = start_bot(cluster, WORKER, epoch=next(_epochs), code="0123456789ab")
    await bot.fetch_member()
    await until(lambda: "box-0" in bot.fleet.refused)
    assert "box runs Atelier " in bot.fleet.refused["box-0"]
    await bot.end()
    bot = start_bot(cluster, WORKER, epoch=next(_epochs))
    await collect_until((await bot.fetch_member()).events(), Ready)
    assert not bot.fleet.refused
    await bot.end()


@pytest.mark.long
async def test_the_status_of_a_member_is_what_its_bot_sees(cluster: RayCluster, bot: OpenFleet) -> None:
    member = await bot.fetch_member()
    await collect_until(member.events(), Ready)
    facts = (await ask_fleet(cluster.address, QUESTION, "status", within_s=PATIENCE_S)).members["box-0"]
    assert (facts.machine, facts.version, facts.libraries) == ("box", find_version(), list_libraries())
    assert member.fingerprint is not None
    assert (facts.fingerprint, facts.painted_by) == (member.fingerprint.digest, member.fingerprint.facts)
    assert (facts.models, facts.missing) == (dict(member.model_sha256), member.missing)
    assert (facts.num_slots, facts.is_draining, facts.trouble) == (member.num_slots, False, "")


@pytest.mark.long
async def test_the_clock_of_a_machine_is_compared_with_this_ones() -> None:
    from generation.fleet.ray_driver import describe  # loads Ray

    class Method:
        async def remote(self) -> bytes:
            return encode_body(MemberFacts(clock_s=time.time() + 7200))

    told = await describe(SimpleNamespace(describe=Method()), QUESTION)
    assert told.clock_s == pytest.approx(7200, abs=PATIENCE_S)


@pytest.mark.long
async def test_a_wrong_token_is_told_at_once_and_the_bot_goes_on(cluster: RayCluster) -> None:
    wrong = FleetAddress(cluster.address.host, cluster.address.port, "another-token-0123456789012345678901")
    bot = start_bot(cluster, WORKER, address=wrong)
    await until(lambda: "does not take the token" in (bot.fleet.trouble or ""))
    assert not bot.joined.members and not bot.running.done()
    await bot.end()
    with pytest.raises(FleetOutOfReachError, match="does not take the token"):
        await ask_fleet(wrong, QUESTION, "status", within_s=PATIENCE_S)


@pytest.mark.long
async def test_where_nothing_answers_the_bot_goes_on_without(cluster: RayCluster) -> None:
    """Ray's own attempt takes minutes, and would block the loop that makes it."""
    bot = start_bot(cluster, WORKER, address=FleetAddress("127.0.0.1", 9, "x" * 32), connect_s=1.0)
    await until(lambda: "does not answer" in (bot.fleet.trouble or ""))
    assert not bot.running.done()
    await bot.end()


@pytest.mark.long
async def test_a_drained_member_ends_what_it_paints_leaves_and_comes_back(cluster: RayCluster, bot: OpenFleet) -> None:
    member = await bot.fetch_member()
    events = member.events()
    await collect_until(events, Ready)
    report = await ask_fleet(cluster.address, QUESTION, "status", within_s=PATIENCE_S)
    facts = report.members["box-0"]
    assert (facts.machine, facts.num_slots, facts.is_draining) == ("box", 16, False)
    assert facts.fingerprint == member.fingerprint.digest and abs(facts.clock_s) < PATIENCE_S
    drained = await ask_fleet(cluster.address, QUESTION, "drain box", within_s=PATIENCE_S)
    assert drained.members["box-0"].is_draining
    async with asyncio.timeout(PATIENCE_S), bot.joined.changed:
        await bot.joined.changed.wait_for(lambda: bot.joined.left)
    assert bot.joined.left == [("box-0", "it is drained")] and "box-0" in bot.joined.draining
    await until(lambda: "is drained" in bot.fleet.refused.get("box-0", ""))
    await ask_fleet(cluster.address, QUESTION, "undrain box-0", within_s=PATIENCE_S)
    member = await bot.fetch_member()
    await collect_until(member.events(), Ready)


@pytest.mark.long
async def test_the_bot_outlives_rays_head_and_attaches_to_the_next() -> None:
    async with open_cluster() as first:
        bot = start_bot(first, WORKER)
        member = await bot.fetch_member()
        events = member.events()
        await collect_until(events, Ready)
        (head,) = first.find("gcs_server")
        head.kill()
        lost = (await collect_until(events, WorkerLost))[-1]
        assert isinstance(lost, WorkerLost) and not bot.running.done()
        await first.stop()
        second = await RayCluster.start(cards=1, port=first.address.port)
        await until(lambda: bot.joined.members.get(member.name, member) is not member)
        await collect_until((await bot.fetch_member()).events(), Ready)
        await bot.end()
        await second.stop()
