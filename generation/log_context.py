"""Which job the lines of the log are about: in the task of that job, also those that libraries write."""

from __future__ import annotations

import re
from contextvars import ContextVar

_job: ContextVar[str] = ContextVar("job", default="")
_IN_LINE = re.compile(r"\bjob=(\S+)")
_OF_IMAGE = re.compile(r"\bimage=([0-9A-Za-z]{22})-\d+\b")


def about(job_id: str) -> None:
    """Say that what this task logs from now on is about a job."""
    _job.set(job_id)


def find_job(message: str) -> tuple[str, bool]:
    """Return the id of the job that a line is about ("" for none), and whether the line says it as `job=`."""
    if (said := _IN_LINE.search(message)) is not None:
        return said[1], True
    of_image = _OF_IMAGE.search(message)
    return of_image[1] if of_image is not None else _job.get(), False
