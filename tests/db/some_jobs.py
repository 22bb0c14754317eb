"""Jobs, outcomes and destinations for the tests of the database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from generation.jobs.job import Image, Job, Outcome, ReplyTo, Status, new_job_id
from generation.owner import Owner
from generation.requests.cost import image_cost
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GUILD = 700_000_000_000_000_001
USER = 900_000_000_000_000_123
PROMPT = "a lighthouse of vermilion glass"


def a_spec(**changes: Any) -> ImageSpec:
    chosen: dict[str, Any] = {
        "prompt": PROMPT,
        "model": "paintbox",
        "width_px": 512,
        "height_px": 512,
        "steps": 10,
        "guidance": 7.5,
        "sampler": "Euler a",
        "seed": 7,
    }
    return ImageSpec(**(chosen | changes))


def a_job(
    *, guild: int = GUILD, user: int = USER, count: int = 1, at: datetime = NOW, spec: ImageSpec | None = None
) -> Job:
    request = GenerationRequest(spec=spec or a_spec(), count=count)
    job_id = new_job_id()
    images = tuple(
        Image(job_id=job_id, index=index, spec=one, reserved=image_cost(one))
        for index, one in enumerate(request.images())
    )
    return Job(id=job_id, owner=Owner(guild, user), request=request, created_at=at, images=images)


def a_reply() -> ReplyTo:
    return ReplyTo(
        application_id=1,
        channel_id=222,
        token="interaction-token",
        token_expires_at=NOW + timedelta(minutes=14),
        locale="de",
        is_private=True,
    )


def a_recipe(spec: ImageSpec) -> Recipe:
    return Recipe(
        spec=spec,
        model_sha256="m" * 64,
        trace="8x10",
        fingerprint=Fingerprint({"torch": "2.13.0", "device": "cpu"}),
        pixels_sha256="p" * 64,
        parents=("q" * 64,),
    )


def done(job: Job, index: int = 0, *, file: str = "f" * 64) -> Outcome:
    image = job.images[index]
    return Outcome(status=Status.DONE, charged=image.reserved, recipe=a_recipe(image.spec), file_sha256=file)


def ended(status: Status, charged: int = 0) -> Outcome:
    return Outcome(status=status, charged=charged, error="OutOfMemory" if status is Status.FAILED else None)


async def all_of(parts: AsyncIterator[frozenset[str]]) -> frozenset[str]:
    """Return all files that an erasure names, when it is over."""
    return frozenset[str]().union(*[part async for part in parts])
