"""Shares through the real service, database, worker process and engine: three guilds, one of which floods."""

from __future__ import annotations

import asyncio
from pathlib import Path

from generation.jobs.job import Job
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.requests.spec import GenerationRequest
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import save_toy, toy_model
from tests.generation.service_harness import Place, opened, spec

FLOOD, NORTH, SOUTH = 1, 2, 3
ASKS = {FLOOD: (10, 10), NORTH: (5, 5), SOUTH: (5, 5)}
"""Requests of four pictures, and their steps."""


async def submitted(place: Place) -> dict[int, list[Job]]:
    async def ask(guild_id: int, number: int, steps: int) -> Job:
        request = GenerationRequest(spec=spec("a red cat", model="toy", steps=steps, seed=number), count=4)
        return await place.generation.submit(request, Owner(guild_id, 100 * guild_id + number % 4))

    jobs = {
        guild_id: [ask(guild_id, number, steps) for number in range(requests)]
        for guild_id, (requests, steps) in ASKS.items()
    }
    return {guild_id: list(await asyncio.gather(*asked)) for guild_id, asked in jobs.items()}


def painted(place: Place, jobs: list[Job]) -> float:
    """Cost of what is done of these jobs, in pictures of theirs times what one costs."""
    views = [place.generation.view(job.id) for job in jobs]
    cost = jobs[0].images[0].reserved
    return sum(4 * cost * (1.0 if view is None else view.progress) for view in views)


async def test_a_flood_gets_its_third_and_no_more(tmp_path: Path) -> None:
    catalog = Catalog((toy_model(save_toy(tmp_path / "toy")),))
    async with opened(tmp_path, catalog=catalog, engine=DEFAULT_ENGINE) as place:
        jobs = await submitted(place)
        much = 0.8 * sum(image.reserved for job in jobs[NORTH] for image in job.images)
        await place.until(lambda: max(painted(place, jobs[NORTH]), painted(place, jobs[SOUTH])) >= much)
        costs = [painted(place, jobs[guild_id]) for guild_id in ASKS]
    shares = [each / sum(costs) for each in costs]
    # Two steps of each are all that so few can be told apart by; `python -m bench shares` runs longer.
    assert max(abs(3 * share - 1) for share in shares) <= 0.1, shares
