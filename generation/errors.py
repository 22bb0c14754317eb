"""Everything that can go wrong, as one tree. The docstring of a class is the sentence a person reads.

`AtelierError`
├── `RefusedError`               nothing was accepted, nothing is charged
│   ├── `InvalidRequestError`    a value cannot be used: each room's `errors.py` has a class for each kind of it
│   ├── `UnknownModelError`
│   ├── `UnknownJobError`
│   ├── `NotAllowedError`        the person, channel or bot lacks a permission; classes as above
│   ├── `BlockedByRuleError`     a content rule of the guild, with its reason
│   ├── `RulesNotUsableError`    the guild's content rules cannot be compiled, so nothing can be screened
│   ├── `RulesTooSlowError`      screening by the guild's content rules met its limit
│   ├── `TooFastError`           more requests a minute than the guild allows
│   ├── `QuotaExceededError`
│   ├── `QueueFullError`
│   ├── `NotAcceptedError`       storage could not keep the job: try again
│   ├── `CrowdedError`           more ask at this moment than can be let in
│   ├── `ClosedError`            the operator takes no requests for now
│   └── `DrainingError`          the operator is stopping the bot
├── `FailedError`                an accepted job that could not be made; refunded
│   ├── `WorkerLostError`        the worker died more often than a job may be tried
│   ├── `OutOfMemoryError`
│   ├── `ModelTooLargeError`     the machine has not enough memory free for the model
│   ├── `ModelUnusableError`     the model does not load; the operator is told why
│   ├── `NotFiniteError`         the picture's numbers are none: a sampler or guidance that the model does not bear
│   ├── `SourceLostError`        the picture it starts from is gone from disk
│   ├── `OutdatedError`          another version of the bot accepted it, and this one cannot paint it
│   ├── `UncheckedError`         the safety checker raised or did not end, so that nothing is known of the picture
│   ├── `StartWithheldError`     the safety checker spoke against the picture it starts from
│   └── `WithheldError`          the safety checker kept the picture back
└── `ConfigurationError`         the bot cannot start: one sentence that says what to do
    └── `NotNowError`            another try may do, with nothing changed

Messages are templates filled from keyword details, so that a catalogue of another language can fill its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

from generation.translatable import Phrase, pack_value, unpack_value


class AtelierError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "Atelier"
    """The name of this error in the database: the class's without "Error", so that rows outlive a renamed class."""

    def __init_subclass__(cls) -> None:
        cls.code = cls.__name__.removesuffix("Error")

    def __init__(self, **details: object) -> None:
        super().__init__(details)
        self.details = details

    @property
    def template(self) -> str:
        return inspect.getdoc(type(self)) or type(self).__name__

    @property
    def phrase(self) -> Phrase:
        """What it says, to be translated where it is shown."""
        return Phrase(self.template, **self.details)

    def __str__(self) -> str:
        return str(self.phrase)

    def packed(self) -> list[Any]:
        """Return it as a list and plain values, for a format that carries JSON: see `unpack_error`."""
        return [self.code, {name: pack_value(value) for name, value in self.details.items()}]


class RefusedError(AtelierError):
    """This request cannot be accepted."""


class InvalidRequestError(RefusedError):
    """The request holds a value that cannot be used."""


class FileTooLargeError(InvalidRequestError):
    """The file is over {most} MiB. Choose a smaller one."""


class NotUtf8Error(InvalidRequestError):
    """The file is not UTF-8 text (byte {byte}). Save it as UTF-8 and try again."""


class UnknownModelError(RefusedError):
    """There is no model named “{model}” here. Available: {available}."""


class UnknownJobError(RefusedError):
    """That picture is not known here any more."""


class NotAllowedError(RefusedError):
    """You may not do that here."""


class BlockedByRuleError(RefusedError):
    """A rule of this server does not allow that: {reason}"""


class RulesNotUsableError(RefusedError):
    """The content rules of this server cannot be used, so nothing is painted here until a manager changes them: \
`/rules list` says why."""


class RulesTooSlowError(RefusedError):
    """Checking a text by the content rules of this server takes too long, so it was not accepted. \
Please try again in {rest_s} s; if it goes on, a manager can shorten or remove patterns: `/rules list`."""


class TooFastError(RefusedError):
    """That is quick! This server allows {limit} {unit} a minute. Please try again in {wait_s} s; it costs nothing."""


class TooManyFilesError(RefusedError):
    """I read at most {limit} files of one member a minute. Please try again in {wait_s} s; it costs nothing."""


class QuotaExceededError(RefusedError):
    """This would go over the quota of {limit} {unit} {window}: {left} left, {needed} needed. {renewal}"""


class QueueFullError(RefusedError):
    """At most {limit} pictures may wait at once {whose}, and {waiting} do already. Try again when some are done."""


class NotAcceptedError(RefusedError):
    """The request could not be saved, so it was not accepted and costs nothing. Please try again in a moment."""


class CrowdedError(RefusedError):
    """Very many people are asking at this moment. Please try again in a few seconds; it costs nothing."""


class ClosedError(RefusedError):
    """The operator has closed the bot to new requests for now. Requests in the queue are not lost. Please try later."""


class DrainingError(RefusedError):
    """The bot is about to restart and takes no new requests. Please try again in a minute."""


class FailedError(AtelierError):
    """That could not be painted. It costs nothing."""


class WorkerLostError(FailedError):
    """That could not be painted: the worker stopped {attempts} times while working on it. It costs nothing."""


class OutOfMemoryError(FailedError):
    """There is not enough memory for that. Try a smaller size. It costs nothing."""


class ModelTooLargeError(FailedError):
    """There is not enough memory for this model now. Please choose another one. It costs nothing."""


class ModelUnusableError(FailedError):
    """This model cannot be loaded; the operator can see why. Please choose another one. It costs nothing."""


class NotFiniteError(FailedError):
    """The model's numbers ran out of bounds. Try another sampler, or lower guidance. It costs nothing."""


class OutdatedError(FailedError):
    """This version of the bot cannot paint that request any more. Please ask again. It costs nothing."""


class WithheldError(FailedError):
    """Kept back by the safety checker. It costs nothing."""


class UncheckedError(FailedError):
    """The safety checker could not judge that picture, so it is kept back. It costs nothing."""


class StartWithheldError(FailedError):
    """The safety checker does not let me start from that picture. It costs nothing."""


class SourceLostError(FailedError):
    """The picture this one starts from is gone, and could not be painted again. It costs nothing."""


class ConfigurationError(AtelierError):
    """{problem} {remedy}"""


class NotNowError(ConfigurationError):
    """{problem} {remedy}"""  # the same again may do later: what it needs is in use, or out of reach


def failure_class(code: str | None) -> type[FailedError]:
    """Return the class of a stored failure; `FailedError` for one that this release does not know."""
    return next((each for each in FailedError.__subclasses__() if each.code == code), FailedError)


def unpack_error(packed: list[Any]) -> AtelierError:
    """Return the error that another process of this release packed. Raise `LookupError` for a class not known here."""
    code, details = packed
    known = {each.code: each for each in iterate_classes()}
    return known[code](**{name: unpack_value(value) for name, value in details.items()})


def iterate_classes(kind: type[AtelierError] = AtelierError) -> Iterator[type[AtelierError]]:
    """Yield a class of errors and every class below it that is loaded."""
    yield kind
    for each in kind.__subclasses__():
        yield from iterate_classes(each)
