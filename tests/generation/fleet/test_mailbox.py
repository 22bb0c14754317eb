"""Events with numbers: nothing is forgotten before the reader says that it has it."""

from __future__ import annotations

import asyncio

from generation.fleet.mailbox import Mailbox
from generation.jobs.protocol import Preview, Progress, WorkerLost


def progress(done: int, image_id: str = "a-0") -> Progress:
    return Progress(image_id=image_id, attempt=1, done=done, total=9)


async def test_a_lost_answer_loses_no_event() -> None:
    box = Mailbox()
    box.put(progress(1))
    box.put(WorkerLost(reason="gone"))
    first = await box.poll(0, 0)
    assert first == await box.poll(0, 0), "the reader did not say that it had them"
    box.put(progress(2))
    assert [each.said for each in await box.poll(first[-1].number, 0)] == [progress(2)]


async def test_of_progress_that_piled_up_the_newest_of_each_image_is_told_in_order() -> None:
    box = Mailbox()
    preview = Preview(image_id="a-0", attempt=1, jpeg=b"x")
    for said in (progress(1), preview, progress(1, "b-0"), progress(2)):
        box.put(said)
    assert [each.said for each in await box.poll(0, 0)] == [preview, progress(1, "b-0"), progress(2)]


async def test_a_reader_that_waits_is_told_at_once_and_a_new_one_begins_with_what_comes() -> None:
    box = Mailbox()
    waiting = asyncio.create_task(box.poll(0, 600))
    await asyncio.sleep(0)
    box.put(progress(1))
    assert [each.number for each in await waiting] == [1]
    box.clear()
    box.put(progress(2))
    assert [each.number for each in await box.poll(box.last - 1, 0)] == [2]


async def test_losses_are_counted_with_the_events_they_come_among() -> None:
    box = Mailbox()
    for said in (progress(1), WorkerLost(reason="one"), progress(2), WorkerLost(reason="two")):
        box.put(said)
    # The newest progress stands after the first loss.
    assert [each.num_losses for each in await box.poll(0, 0)] == [1, 1, 2]
    assert box.num_losses == 2
