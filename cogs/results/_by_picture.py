"""What a finished message says of some of its pictures, by their numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable

from cogs.common.formatting import escape_markdown
from cogs.i18n.gettext import N_, _, format_error, join_list
from generation import errors
from generation.jobs.job import Image, Job, Status

STOPPED = N_("Stopped before it was painted.")
CANCELLED_LATE = N_("**Cancelled** · you pay only for the steps already done.")
CANCELLED = N_("**Cancelled** · it costs nothing.")
PAINTED_ELSEWHERE = N_("Painted by {host}, not on the bot's own machines: it cannot be made again byte for byte.")
FILE_GONE = N_("This picture was deleted.")
MAX_HOST = 80


def list_troubles(job: Job) -> list[str]:
    """Return what did not become a picture, and why: the same reason is said once, with the numbers of those it
    concerns."""
    if all(image.status is Status.CANCELLED for image in job.images):
        return [_format_cancelled(job)]
    return _list_by_number(job, _get_reason)


def list_painted_elsewhere(job: Job) -> list[str]:
    """Return which pictures a cloud painted, for no member expects it."""
    return _list_by_number(job, _find_host)


def _list_by_number(job: Job, describe: Callable[[Image], str | None]) -> list[str]:
    """Return each text once, with the numbers of the images that it is said of."""
    concerned: dict[str, list[int]] = {}
    for image in job.images:
        if (text := describe(image)) is not None:
            concerned.setdefault(text, []).append(image.index)
    return [
        text if len(indexes) == len(job.images) else f"**{join_list([str(index + 1) for index in indexes])}** · {text}"
        for text, indexes in concerned.items()
    ]


def _find_host(image: Image) -> str | None:
    host = image.recipe.fingerprint.cloud if image.status is Status.DONE and image.recipe is not None else ""
    return _(PAINTED_ELSEWHERE, host=escape_markdown(host, limit=MAX_HOST)) if host else None


def _get_reason(image: Image) -> str | None:
    """Why an image is not to be seen; None for one that is."""
    if image.status is Status.CANCELLED:
        return _(STOPPED)
    if image.status is not Status.DONE:
        return _format_failure(image)
    return _(FILE_GONE) if image.file_sha256 is None else None


def _format_cancelled(job: Job) -> str:
    return _(CANCELLED_LATE if any(image.charged for image in job.images) else CANCELLED)


def _format_failure(image: Image) -> str:
    """Return the sentence of the error an image ended with."""
    if image.error == errors.InvalidRequestError.code:
        return _(
            "The bot cannot paint this request: a LoRA, an embedding, the size or the recipe has changed, or "
            "does not fit this model. It costs nothing."
        )
    return format_error(errors.failure_class(image.error)(attempts=image.attempt))
