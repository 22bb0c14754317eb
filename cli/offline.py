"""Paint without Discord: through the same service, queue, worker and database as the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from generation import errors, local_files, progress
from generation.errors import AtelierError, ConfigurationError, InvalidRequestError
from generation.images.codec import decode_png
from generation.images.metadata import read_recipe
from generation.images.replay import Agreement, ReplayVerdict, judge
from generation.images.verify import Disclosure, read_disclosure
from generation.jobs.errors import PictureDeletedError
from generation.jobs.job import JOB_ID_LENGTH, Image, Job, Status
from generation.jobs.ports import JobStore
from generation.local_files import FileUnusableError
from generation.owner import Owner
from generation.program import format_command
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest
from generation.scheduling.service import GenerationService

T = TypeVar("T")


class FileUnreadableError(InvalidRequestError):
    """{path} cannot be read: it {problem}. {remedy}"""


class NoFinishedPictureError(InvalidRequestError):
    """That job has no finished picture."""


_MAX_PICTURE_BYTES = 2**28
_WHOLE = 1000
OWNER = Owner(guild_id=0, user_id=0)
"""Of pictures from the shell: no user of Discord."""


async def paint(generation: GenerationService, running: asyncio.Task[None], request: GenerationRequest) -> Job:
    """Submit, and wait for the end. Raise the error of the service; an image that was not made is not raised."""
    with progress.task("Painting", _WHOLE) as task:
        generation.on_change = lambda job_id: _show_progress(generation, job_id, task)
        accepted = await _while_running(running, generation.submit(request, OWNER, may_use_all=True))
        return await _while_running(running, generation.finished(accepted.id))


def _show_progress(generation: GenerationService, job_id: str, task: progress.Task) -> None:
    if (view := generation.view(job_id)) is not None:
        task.move(round(view.progress * _WHOLE))


def find_failures(generation: GenerationService, job: Job) -> dict[int, AtelierError]:
    """Return why images of a job were not made, by their index."""
    missing = [image for image in job.images if image.status is not Status.DONE]
    return {image.index: _build_error(generation, image) for image in missing}


async def _while_running(running: asyncio.Task[None], work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, or raise as soon as the service has ended: nothing else would end `work`."""
    working = asyncio.ensure_future(work)
    await asyncio.wait((working, running), return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return await working
    working.cancel()
    error = running.exception()
    if error is None or isinstance(error, AtelierError):
        raise error or errors.DrainingError
    problem = f"The service has stopped ({type(error).__name__}: {str(error).splitlines()[0]})."
    raise ConfigurationError(
        problem=problem, remedy=f"Run {format_command('doctor')}: it checks everything the bot needs."
    ) from error


def read_png(generation: GenerationService, image: Image) -> bytes:
    """Return the finished file of an image. Raise `InvalidRequestError` if it was deleted since."""
    png = generation.files.get(image.file_sha256) if image.file_sha256 else None
    if png is None:
        raise PictureDeletedError
    return png


def require_writable(target: Path) -> None:
    """Raise `ConfigurationError` unless a file can be written at `target`: before anything is painted."""
    try:
        local_files.require_writable(target)
    except FileUnusableError as wrong:
        raise ConfigurationError(problem=f"--out {target} {wrong.problem}.", remedy=wrong.remedy) from None


def read_file(path: Path) -> list[tuple[Recipe, bytes | None]]:
    """Return the recipe and the pixels of a PNG of ours. Raise `InvalidRequestError` saying what is wrong with it."""
    data = _read(path)
    return [(read_recipe(data), decode_png(data)[0])]


def verify_file(path: Path) -> Disclosure:
    """Return what a picture file says of itself. Raise `InvalidRequestError` if it cannot be read."""
    return read_disclosure(_read(path))


def _read(path: Path) -> bytes:
    try:
        return local_files.read_file(path, max_bytes=_MAX_PICTURE_BYTES)
    except FileUnusableError as wrong:
        raise FileUnreadableError(path=path, problem=wrong.problem, remedy=wrong.remedy) from None


async def read_job(generation: GenerationService, store: JobStore, job_id: str) -> list[tuple[Recipe, bytes | None]]:
    """Return the recipe of every finished image of a job, with the pixels of those still on disk."""
    job = await store.fetch_job(job_id[:JOB_ID_LENGTH])
    done = [image for image in job.images if image.recipe is not None]
    if not done:
        raise NoFinishedPictureError
    pngs = [generation.files.get(image.file_sha256) if image.file_sha256 else None for image in done]
    pixels = [decode_png(png)[0] if png else None for png in pngs]
    return [(image.recipe, original) for image, original in zip(done, pixels, strict=True) if image.recipe]


async def replay(
    generation: GenerationService, running: asyncio.Task[None], originals: list[tuple[Recipe, bytes | None]]
) -> ReplayVerdict:
    """Paint each again and compare. Return the worst verdict."""
    verdicts = [await _replay_one(generation, running, recipe, pixels) for recipe, pixels in originals]
    return max(verdicts, key=lambda each: list(Agreement).index(each.verdict))


async def _replay_one(
    generation: GenerationService, running: asyncio.Task[None], recipe: Recipe, original: bytes | None
) -> ReplayVerdict:
    generation.catalog.get(recipe.spec.model)
    again = GenerationRequest(spec=replace(recipe.spec), replay=recipe.build_replay())
    job = await paint(generation, running, again)
    for error in find_failures(generation, job).values():
        raise error
    made = job.images[0].recipe
    pixels, _ = decode_png(read_png(generation, job.images[0]))
    return judge(recipe, pixels, made.fingerprint if made else Fingerprint({}), original=original)


def _build_error(generation: GenerationService, image: Image) -> AtelierError:
    """Return the error an image ended with, with the details that are still known.

    Who sits at the shell is the operator: where a model does not load, it is said why.
    """
    kind = errors.failure_class(image.error)
    if kind is errors.ModelUnusableError and (why := generation.list_unusable_models().get(image.spec.model)):
        return ConfigurationError(problem=f"The model {image.spec.model} cannot be used: {why}", remedy="")
    return kind(attempts=image.attempt)
