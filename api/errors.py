"""What is said over HTTP where something is refused or fails: a status and one sentence.

Every named error of the program has a status here; what has no name says nothing of itself, and the log has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from generation.admission.errors import MembersUnknownError
from generation.errors import (
    AtelierError,
    BlockedByRuleError,
    ClosedError,
    CrowdedError,
    DrainingError,
    FailedError,
    FileTooLargeError,
    NotAcceptedError,
    NotAllowedError,
    QueueFullError,
    QuotaExceededError,
    RefusedError,
    RulesNotUsableError,
    RulesTooSlowError,
    StartWithheldError,
    TooFastError,
    TooManyFilesError,
    UncheckedError,
    UnknownJobError,
    UnknownModelError,
    WithheldError,
)
from generation.safety.errors import MinorSafetyError


class ApiError(RefusedError):
    """This request cannot be answered."""


class NoKeyError(ApiError):
    """Send your key as “Authorization: Bearer KEY”, or as the password of Basic authentication."""


class WrongKeyError(ApiError):
    """That key opens nothing: it was mistyped, revoked, or ended with its member or server."""


class KeyHeaderError(ApiError):
    """Send one Authorization header."""


class UnknownPathError(ApiError):
    """There is nothing at this address. /openapi.json says what there is."""


class MethodError(ApiError):
    """This address does not take that method."""


class BodyTooLargeError(ApiError):
    """The body is over {most} MiB. Send less."""


class BodyTooSlowError(ApiError):
    """The body did not come within {most_s} s."""


class BodyLengthError(ApiError):
    """The head says more than one length of the body, or one that is no number."""


class TooManyOpenError(ApiError):
    """{most} requests of this key are being answered. Wait for one of them."""


class UnreadableBodyError(ApiError):
    """The body cannot be read: {reason}"""


class PictureBase64Error(ApiError):
    """A picture must be base64 of a PNG, JPEG or WebP."""


class StartError(ApiError):
    """Start from a `picture`, with or without a `mask`, or from a `job` of yours: one of the two."""


class ReferencesError(ApiError):
    """Name each of `references` as a `picture` or as a `job` of yours, and leave out `start`."""


class ReferencePictureError(ApiError):
    """A reference is a `picture`, or from a `job` of yours: one of the two."""


class BeforeError(ApiError):
    """`before` is a time such as 2026-01-31T12:00:00+00:00, as the last page gave it."""


class NoPictureError(ApiError):
    """Send a picture to start from."""


class MaskSizeError(ApiError):
    """The mask must be as large as the picture, {width} x {height}."""


class NotSupportedError(ApiError):
    """`{name}` cannot be “{value}” here. {remedy}"""


class WaitedTooLongError(ApiError):
    """Your pictures are not done yet; they go on. Ask for job {job_id} at /api/v1/jobs/{job_id}."""


class JobCancelledError(ApiError):
    """The job was cancelled before a picture was done."""


class NotDoneError(ApiError):
    """This picture is not done yet."""


class PictureHiddenError(ApiError):
    """This picture may not be shown here."""


class PictureGoneError(ApiError):
    """The file of this picture was deleted."""


_STATUSES: tuple[tuple[type[AtelierError], int], ...] = (  # the first that fits
    (NoKeyError, 401),
    (WrongKeyError, 401),
    (KeyHeaderError, 400),
    (MembersUnknownError, 503),
    (UnknownPathError, 404),
    (MethodError, 405),
    (BodyTooLargeError, 413),
    (BodyTooSlowError, 408),
    (TooManyOpenError, 429),
    (WaitedTooLongError, 504),
    (JobCancelledError, 409),
    (NotDoneError, 409),
    (PictureHiddenError, 403),
    (PictureGoneError, 410),
    (ApiError, 400),
    (FileTooLargeError, 413),
    (UnknownModelError, 404),
    (UnknownJobError, 404),
    (MinorSafetyError, 400),
    (BlockedByRuleError, 400),
    (NotAllowedError, 403),
    (TooFastError, 429),
    (TooManyFilesError, 429),
    (QuotaExceededError, 429),
    (QueueFullError, 429),
    (RulesNotUsableError, 503),
    (RulesTooSlowError, 503),
    (NotAcceptedError, 503),
    (CrowdedError, 503),
    (ClosedError, 503),
    (DrainingError, 503),
    (RefusedError, 400),
    (WithheldError, 400),
    (StartWithheldError, 400),
    (UncheckedError, 400),
    (FailedError, 500),
)
_WAITS = {CrowdedError: 2, DrainingError: 60, NotAcceptedError: 5, TooManyOpenError: 1, MembersUnknownError: 60}
_FORBIDDEN = (BlockedByRuleError, MinorSafetyError, WithheldError, StartWithheldError, UncheckedError)
_TIME = re.compile(r"<t:(\d{1,12}):\w>")
_CHANNEL = re.compile(r"<[#@]&?(\d+)>")
UNFORESEEN = "Something went wrong here. The operator can see what in the log."


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """What a dialect says of an error in its own shape."""

    status: int
    message: str
    code: str
    """`snake_case`, of the error's class; stable."""
    wait_s: int | None = None
    """When it is worth another try."""
    is_content: bool = False
    """Whether it is about what was to be seen: another try gives the same."""
    param: str | None = None
    """The value at fault, by its name in the request."""


def build_reply(error: BaseException) -> ErrorReply:
    """Return what is said of an error; nothing of one without a name."""
    if not isinstance(error, AtelierError):
        return ErrorReply(500, UNFORESEEN, "internal_error")
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status == 500 and not isinstance(error, FailedError):
        return ErrorReply(500, UNFORESEEN, "internal_error")
    return ErrorReply(
        status,
        write_plain(str(error)),
        to_snake(error.code),
        wait_s=_find_wait_s(error),
        is_content=isinstance(error, _FORBIDDEN),
        param=str(error.details.get("name")) if isinstance(error, NotSupportedError) else None,
    )


def _find_wait_s(error: AtelierError) -> int | None:
    said = error.details.get("wait_s", error.details.get("rest_s"))
    if isinstance(said, int | float):
        return max(1, round(said))
    return next((wait_s for kind, wait_s in _WAITS.items() if isinstance(error, kind)), None)


def write_plain(text: str) -> str:
    """Return a text without what only Discord shows as people read it: times, channels, marked commands."""
    text = _TIME.sub(lambda found: datetime.fromtimestamp(int(found[1]), UTC).strftime("%Y-%m-%d %H:%M UTC"), text)
    return _CHANNEL.sub(r"\1", text).replace("**", "")


def to_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
