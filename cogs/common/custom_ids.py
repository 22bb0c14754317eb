"""The `custom_id` of every button, menu and form: written, read, and recognised here only.

Messages of years ago still hold them, so a pattern may grow but never loses what it read before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from generation.jobs.job import JOB_ID_LENGTH


class Kind(StrEnum):
    """What a `custom_id` belongs to; its first part."""

    BUTTON = "atelier"
    """A button, a menu entry or a form: what it does, and to what."""
    MENU = "atelier-menu"
    """The menu under a result."""
    SETTING = "atelier-set"
    """A component of the settings panel: its page, and what it changes."""
    REVIEW = "atelier-mod"
    """A button of the review queue: the decision, and the job."""


PATTERNS = {
    Kind.BUTTON: re.compile(r"atelier:(?P<name>[a-z]+):(?P<subject>[0-9A-Za-z:]*)"),
    Kind.MENU: re.compile(r"atelier-menu:(?P<subject>[0-9A-Za-z:]*)"),
    Kind.SETTING: re.compile(r"atelier-set:(?P<name>[a-z]+):(?P<subject>[a-z_]+(?::[0-9]{1,19})?)"),
    Kind.REVIEW: re.compile(rf"atelier-mod:(?P<name>[a-z]+):(?P<subject>[0-9A-Za-z]{{{JOB_ID_LENGTH}}})"),
}
"""discord.py finds the item of a component by these."""


@dataclass(frozen=True, slots=True)
class CustomId:
    """One `custom_id`. `name` is the action, page or decision; a menu has none."""

    kind: Kind
    name: str
    subject: str

    @classmethod
    def of_button(cls, action: str, subject: str) -> Self:
        return cls(Kind.BUTTON, action, subject)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what a `custom_id` says; None for one that is not ours."""
        for kind, pattern in PATTERNS.items():
            if (match := pattern.fullmatch(text)) is not None:
                return cls(kind, match.groupdict().get("name", ""), match["subject"])
        return None

    def __str__(self) -> str:
        parts = (self.kind, self.subject) if self.kind is Kind.MENU else (self.kind, self.name, self.subject)
        return ":".join(parts)

    @property
    def job_id(self) -> str | None:
        """The job that the subject names; None if it names none."""
        first = self.subject.partition(":")[0]
        return first if len(first) == JOB_ID_LENGTH else None


def find_job_id(custom_ids: Iterable[str]) -> str | None:
    """Return the job that some of these name; None if there is none."""
    parsed = (CustomId.parse(each) for each in custom_ids)
    return next((found.job_id for found in parsed if found is not None and found.job_id is not None), None)
