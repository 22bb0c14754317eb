"""How a job is shown."""

from __future__ import annotations

from pydantic import BaseModel

from api.context import ApiContext
from api.pictures import list_shown
from generation.errors import failure_class
from generation.jobs.job import Image, Job, Status


class ImageState(BaseModel):
    index: int
    status: str
    seed: int
    path: str | None = None
    """Where its file is, once it is done and may be shown."""
    error: str | None = None


class JobState(BaseModel):
    id: str
    status: str
    progress: float
    images_ahead: int | None = None
    wait_s: float | None = None
    prompt: str
    model: str
    images: list[ImageState]


async def build_state(context: ApiContext, job: Job) -> JobState:
    """Return a job as it stands now."""
    view = context.rooms.generation.view(job.id)
    job = view.job if view is not None else job
    shown = await list_shown(context, job)
    return JobState(
        id=job.id,
        status=job.status.value,
        progress=round(view.progress, 3) if view is not None else float(job.is_end),
        images_ahead=view.images_ahead if view is not None else None,
        wait_s=view.wait_s if view is not None else None,
        prompt=job.request.spec.prompt,
        model=job.request.spec.model,
        images=[_build_image(job, image, is_shown=image.index in shown) for image in job.images],
    )


def _build_image(job: Job, image: Image, *, is_shown: bool) -> ImageState:
    error = str(failure_class(image.error)(attempts=image.attempt)) if image.error else None
    if image.status is Status.DONE and not is_shown:
        error = "This picture may not be shown here."
    path = f"/api/v1/jobs/{job.id}/images/{image.index}" if is_shown else None
    return ImageState(index=image.index, status=image.status.value, seed=image.spec.seed, path=path, error=error)
