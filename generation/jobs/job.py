"""An accepted request and its state. Frozen: every change is a new value, and a row in the database."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from msgspec import UNSET

from generation.owner import Owner
from generation.requests.recipe import Recipe
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.safety.visibility import FlaggedHandling, SafetyScores

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
JOB_ID_LENGTH = 22
"""Direct messages have no guild: all of them together are one tenant, of id 0."""


class Status(StrEnum):
    """Where a job or one of its images stands. WAITING and RUNNING are alive; the others are ends."""

    WAITING = "waiting"  # accepted, in the queue
    RUNNING = "running"  # held by a worker
    DONE = "done"  # made, checked, stored
    WITHHELD = "withheld"  # made, kept back by the safety checker, refunded
    CANCELLED = "cancelled"  # stopped by a person
    FAILED = "failed"  # could not be made, refunded

    @property
    def is_end(self) -> bool:
        return self not in (Status.WAITING, Status.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One picture of a job. `reserved` and `charged` are in cost units (see `generation.requests.cost`)."""

    job_id: str
    index: int
    spec: ImageSpec
    reserved: int
    status: Status = Status.WAITING
    attempt: int = 0
    """How often a worker has taken it: the fencing token of every later write."""
    charged: int = 0
    recipe: Recipe | None = None
    file_sha256: str | None = None
    error: str | None = None
    judgement: SafetyScores | None = None
    """What the safety checker said; None if there was none to ask."""
    alt: str | None = None
    """What its member says for those who cannot see it; None is the prompt."""

    @property
    def id(self) -> str:
        return f"{self.job_id}-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An accepted request: it ends exactly once, and the user is notified."""

    id: str
    owner: Owner
    request: GenerationRequest
    created_at: datetime
    images: tuple[Image, ...]
    boost: float = 1.0
    """The owner's claim inside the guild when they asked, relative to the other members."""
    is_from_upload: bool = False
    """Whether it starts from a picture that a member attached, or from one that was made of such a picture."""
    handling: FlaggedHandling = field(default_factory=FlaggedHandling)
    """How a flagged picture is handled, as the guild had chosen at the time of the request."""

    @property
    def status(self) -> Status:
        """Derived from the images: running if any runs, waiting if any waits, else the best end among them."""
        statuses = {image.status for image in self.images}
        if Status.RUNNING in statuses or (Status.WAITING in statuses and any(s.is_end for s in statuses)):
            return Status.RUNNING
        order = (Status.WAITING, Status.DONE, Status.WITHHELD, Status.CANCELLED, Status.FAILED)
        return next(status for status in order if status in statuses)

    @property
    def is_end(self) -> bool:
        return all(image.status.is_end for image in self.images)

    def only(self, index: int) -> Job:
        """Return the job as if just that picture of it had been asked for."""
        image = self.images[index]
        alone = replace(self.request, spec=image.spec, count=1, drawn=UNSET, comparison=UNSET, cells=UNSET)
        return replace(self, images=(image,), request=alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that pictures start from, as one person may use it."""

    is_usable: bool = False
    """It is a picture of their server that was not deleted, or they attached it."""
    is_upload: bool = False
    """A member attached it, and a picture of theirs still needs it."""
    is_from_upload: bool = True
    """It was attached, or painted from what was. Of an unknown file nothing better can be said."""


NO_CHANNEL = 0
"""Where the answer to a job goes that was asked for over HTTP: no channel has this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where the answer to a job goes. Kept with the job; only the cogs fill it in and read it."""

    application_id: int
    channel_id: int
    token: str | None = field(default=None, repr=False)
    token_expires_at: datetime | None = None
    """By Discord's clock. Nothing is decided by it: this machine's clock may differ."""
    received_s: float | None = None
    """When this run received the token (monotonic); None if an earlier run did. Not stored."""
    message_id: int | None = None
    locale: str = "en-US"
    """The language its message is in, also after a restart: the guild's, or where one person reads it, theirs."""
    is_private: bool = False
    is_collected: bool = False
    """Whether the one who asked comes for the result, over HTTP: nothing is ever posted. Not stored: its delivery has
    ended from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an image ended, and what its owner pays (cost units)."""

    status: Status
    charged: int
    recipe: Recipe | None = None
    file_sha256: str | None = None
    error: str | None = None
    """Class name of `generation.errors`, where something went wrong."""
    judgement: SafetyScores | None = None
    review_sha256: str | None = None
    """The blurred picture kept for moderators, of one that was withheld."""


def new_job_id() -> str:
    """Return 128 random bits as 22 characters of base62: fits Discord's `nonce` (25), cannot be guessed."""
    number, chars = secrets.randbelow(len(_BASE62) ** JOB_ID_LENGTH), []  # at once: each random number is a system call
    for _ in range(JOB_ID_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        chars.append(_BASE62[digit])
    return "".join(chars)


def split_image_id(image_id: str) -> tuple[str, int]:
    """Return `(job id, index)` of an image id. Raise `ValueError` for anything else."""
    job_id, _, index = image_id.rpartition("-")
    if len(job_id) != JOB_ID_LENGTH or not index.isdecimal():
        raise ValueError(f"not an image id: {image_id[:40]!r}")
    return job_id, int(index)
