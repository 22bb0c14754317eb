"""A limited number is admitted at a time, in order; the rest is refused, of one guild sooner than of all."""

import asyncio

import pytest

from generation.admission.limiter import AT_ONCE, PLACES, PLACES_OF_ONE_GUILD, AdmissionLimiter
from generation.errors import CrowdedError, DrainingError
from tests.patience import PATIENCE_S


async def crowd(
    reception: AdmissionLimiter, guild_id: int, number: int, leave: asyncio.Event, entered: list[int]
) -> None:
    async with reception.acquire(guild_id):
        entered.append(number)
        await leave.wait()


async def test_turns_come_in_order_and_a_few_at_a_time() -> None:
    reception, leave, entered = AdmissionLimiter(), asyncio.Event(), list[int]()
    coming = [asyncio.create_task(crowd(reception, 1, number, leave, entered)) for number in range(AT_ONCE + 10)]
    await asyncio.sleep(0)
    assert entered == list(range(AT_ONCE))
    leave.set()
    await asyncio.gather(*coming)
    assert entered == list(range(AT_ONCE + 10))


async def test_a_share_of_the_places_is_given_to_programs() -> None:
    reception, leave, entered = AdmissionLimiter(), asyncio.Event(), list[int]()
    coming = [asyncio.create_task(crowd(reception, number, number, leave, entered)) for number in range(PLACES // 3)]
    await asyncio.sleep(0)
    with pytest.raises(CrowdedError):
        reception.check_capacity(1000, share=1 / 3)
    reception.check_capacity(1000)
    leave.set()
    await asyncio.gather(*coming)
    reception.check_capacity(1000, share=1 / 3)


async def test_one_guilds_crowd_leaves_room_for_others() -> None:
    reception, leave = AdmissionLimiter(), asyncio.Event()
    coming = [asyncio.create_task(crowd(reception, 1, number, leave, [])) for number in range(PLACES_OF_ONE_GUILD)]
    await asyncio.sleep(0)
    with pytest.raises(CrowdedError):
        reception.check_capacity(1)
    reception.check_capacity(2)
    coming += [asyncio.create_task(crowd(reception, 2, 0, leave, [])) for _ in range(PLACES - PLACES_OF_ONE_GUILD)]
    await asyncio.sleep(0)
    with pytest.raises(CrowdedError):
        reception.check_capacity(3)
    leave.set()
    await asyncio.gather(*coming)
    reception.check_capacity(1)


async def test_a_cancelled_request_frees_its_admission_place() -> None:
    reception = AdmissionLimiter()
    coming = [asyncio.create_task(crowd(reception, 1, each, asyncio.Event(), [])) for each in range(PLACES)]
    await asyncio.sleep(0)
    for task in coming:
        task.cancel()
    await asyncio.gather(*coming, return_exceptions=True)
    reception.check_capacity(1)
    with pytest.raises(RuntimeError), reception.slot(1):
        raise RuntimeError
    assert not reception.num_inside


async def test_closing_waits_for_admitted_requests_and_admits_no_more() -> None:
    reception, leave, entered = AdmissionLimiter(), asyncio.Event(), list[int]()
    coming = [asyncio.create_task(crowd(reception, 1, number, leave, entered)) for number in range(AT_ONCE + 1)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(reception.close(patience_s=60))
    await asyncio.sleep(0)
    with pytest.raises(DrainingError):
        reception.check_capacity(1)
    assert not closing.done()
    leave.set()
    await closing
    assert len(entered) == AT_ONCE + 1, "who stood in line was let in before"
    await asyncio.gather(*coming)


async def test_closing_does_not_wait_for_ever() -> None:
    reception = AdmissionLimiter()
    with reception.slot(1):
        async with asyncio.timeout(PATIENCE_S):
            await reception.close(patience_s=0.01)
        assert reception.num_inside == 1, "who is inside was not thrown out"
