"""How a job is shown."""

from __future__ import annotations

from api.context import ApiContext
from api.errors import PictureHiddenError, write_plain
from api.jobs.schemas import ImageState, JobState
from api.pictures import list_shown
from generation.errors import failure_class
from generation.jobs.job import Image, Job, Status
from generation.scheduling.active_jobs import JobView


async def fetch_state(context: ApiContext, job: Job) -> JobState:
    """Return a job as it stands now, with its place in line."""
    view = context.rooms.generation.view(job.id)
    return await build_state(context, job if view is None else view.job, view)


async def build_state(context: ApiContext, job: Job, view: JobView | None = None) -> JobState:
    """Return a job as it stands. The place in line is in `view`, which costs more than all the rest."""
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
    path = f"/api/v1/jobs/{job.id}/images/{image.index}" if is_shown else None
    error = _describe_failure(image, is_shown=is_shown)
    return ImageState(index=image.index, status=image.status.value, seed=image.spec.seed, path=path, error=error)


def _describe_failure(image: Image, *, is_shown: bool) -> str | None:
    if image.status is Status.DONE:
        return None if is_shown else str(PictureHiddenError())
    if image.status not in (Status.FAILED, Status.WITHHELD):
        return None
    code = image.error or ("Withheld" if image.status is Status.WITHHELD else None)
    return write_plain(str(failure_class(code)(attempts=image.attempt)))
