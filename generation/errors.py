"""Everything that can go wrong, as one tree. The docstring of a class is the sentence a person reads.

`AtelierError`
├── `RefusedError`               nothing was accepted, nothing is charged
│   ├── `InvalidRequest`    a value cannot be used: says which, and what can
│   ├── `UnknownModel`
│   ├── `UnknownJob`
│   ├── `NotAllowed`        the person, channel or bot lacks a permission
│   ├── `BlockedByRule`     a content rule of the guild, with its reason
│   ├── `RulesNotUsable`    the guild's content rules cannot be compiled, so nothing can be screened
│   ├── `RulesTooSlow`      screening by the guild's content rules met its limit
│   ├── `TooFast`           more requests a minute than the guild allows
│   ├── `QuotaExceeded`
│   ├── `QueueFull`
│   ├── `NotAccepted`       storage could not keep the job: try again
│   ├── `Crowded`           more ask at this moment than can be let in
│   ├── `Closed`            the operator takes no requests for now
│   └── `Draining`          the operator is stopping the bot
├── `Failed`                an accepted job that could not be made; refunded
│   ├── `WorkerLost`        the worker died more often than a job may be tried
│   ├── `OutOfMemory`
│   ├── `ModelUnusable`     the model does not load; the operator is told why
│   ├── `NotFinite`         the picture's numbers are none: a sampler or guidance that the model does not bear
│   ├── `SourceLost`        the picture it starts from is gone from disk
│   ├── `Outdated`          another version of the bot accepted it, and this one cannot paint it
│   ├── `StartWithheld`     the safety checker spoke against the picture it starts from
│   └── `Withheld`          the safety checker kept the picture back
└── `Misconfigured`         the bot cannot start: one sentence that says what to do

Messages are templates filled from keyword details, so that a catalogue of another language can fill its own.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


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

    def __str__(self) -> str:
        return self.template.format(**self.details)


class RefusedError(AtelierError):
    """This request cannot be accepted."""


class InvalidRequest(RefusedError):
    """{what} {problem}"""


class UnknownModel(RefusedError):
    """There is no model named “{model}” here. Available: {available}."""


class UnknownJob(RefusedError):
    """That picture is not known here any more."""


class NotAllowed(RefusedError):
    """{why}"""


class BlockedByRule(RefusedError):
    """A rule of this server does not allow that: {reason}"""


class RulesNotUsable(RefusedError):
    """The content rules of this server cannot be used, so nothing is painted here until a manager changes them: \
`/rules list` says why."""


class RulesTooSlow(RefusedError):
    """Checking a text by the content rules of this server takes too long, so it was not accepted. \
Please try again in {rest_s} s; if it goes on, a manager can shorten or remove patterns: `/rules list`."""


class TooFast(RefusedError):
    """That is quick! This server allows {limit} {unit} a minute. Please try again in {wait_s} s; it costs nothing."""


class TooManyFiles(RefusedError):
    """I read at most {limit} files of one member a minute. Please try again in {wait_s} s; it costs nothing."""


class QuotaExceeded(RefusedError):
    """This would go over the quota of {limit} {unit} {window}: {left} left, {needed} needed. {renewal}"""


class QueueFull(RefusedError):
    """At most {limit} pictures may wait at once {whose}, and {waiting} do already. Try again when some are done."""


class NotAccepted(RefusedError):
    """The request could not be saved, so it was not accepted and costs nothing. Please try again in a moment."""


class Crowded(RefusedError):
    """Very many people are asking at this moment. Please try again in a few seconds; it costs nothing."""


class Closed(RefusedError):
    """The operator has closed the studio for now. What you have in line is not lost; please try again later."""


class Draining(RefusedError):
    """The bot is about to restart and takes no new requests. Please try again in a minute."""


class Failed(AtelierError):
    """That could not be painted. It costs nothing."""


class WorkerLost(Failed):
    """That could not be painted: the painter stopped {attempts} times while working on it. It costs nothing."""


class OutOfMemory(Failed):
    """There is not enough memory for that. Try a smaller size. It costs nothing."""


class ModelUnusable(Failed):
    """This model cannot be loaded; the operator can see why. Please choose another one. It costs nothing."""


class NotFinite(Failed):
    """The model's numbers ran out of bounds. Try another sampler, or lower guidance. It costs nothing."""


class Outdated(Failed):
    """This version of the bot cannot paint that request any more. Please ask again. It costs nothing."""


class Withheld(Failed):
    """Kept back by the safety checker. It costs nothing."""


class StartWithheld(Failed):
    """The safety checker does not let me start from that picture. It costs nothing."""


class SourceLost(Failed):
    """The picture this one starts from is gone, and could not be painted again. It costs nothing."""


class Misconfigured(AtelierError):
    """{problem} {remedy}"""


def failure_class(code: str | None) -> type[Failed]:
    """Return the class of a stored failure; `Failed` for one that this release does not know."""
    return next((each for each in Failed.__subclasses__() if each.code == code), Failed)
