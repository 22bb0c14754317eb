"""Failed work is tried again with growing pauses, and is a problem as long as it fails."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest

from generation.retry import Problems, Task, double_pauses, retry_until_success, run_periodically
from generation.translatable import Phrase
from tests.patience import PATIENCE_S, until

TASK = Task("mail", Phrase("No mail is sent; that is tried again."), 0, 0)


class Refuses:
    """Work that fails so many times. `seen`: the problems at each attempt."""

    def __init__(self, times: int, problems: Problems) -> None:
        self.times, self.problems, self.seen = times, problems, list[list[str]]()
        self.worked = asyncio.Event()

    async def __call__(self) -> str:
        self.seen.append(list(self.problems))
        if len(self.seen) <= self.times:
            raise OSError("away")
        self.worked.set()
        return "sent"


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(double_pauses(1, 5), 5)) == [1, 2, 4, 5, 5]


async def test_a_problem_is_there_from_the_first_failure_until_it_works() -> None:
    problems = Problems()
    work = Refuses(2, problems)
    assert await retry_until_success(TASK, work, problems) == "sent"
    assert work.seen == [[], [TASK.problem], [TASK.problem]]
    assert not list(problems)


async def test_a_final_error_is_raised_at_once() -> None:
    problems = Problems()
    work = Refuses(1, problems)
    final = Task("mail", TASK.problem, 0, 0, is_final=lambda error: isinstance(error, OSError))
    with pytest.raises(OSError, match="away"):
        await retry_until_success(final, work, problems)
    assert len(work.seen) == 1
    assert not list(problems)


async def test_a_cancelled_retry_is_no_longer_a_problem() -> None:
    problems = Problems()
    work = Refuses(10**9, problems)
    trying = asyncio.create_task(retry_until_success(TASK, work, problems))
    await until(lambda: list(problems))
    trying.cancel()
    await asyncio.wait((trying,))
    assert not list(problems)


async def test_a_periodic_task_continues_after_failures() -> None:
    problems = Problems()
    work = Refuses(3, problems)
    going = asyncio.create_task(run_periodically(0, TASK, work, problems))
    await asyncio.wait_for(work.worked.wait(), PATIENCE_S)
    going.cancel()
    await asyncio.wait((going,))
    assert len(work.seen) > 3
