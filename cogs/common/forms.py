"""Forms that people fill in, as plain values: what is asked, and what came back.

A form holds nothing but its `custom_id`, as a button does: one opened before a restart can be sent after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cogs.common.messages import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A line to type, or with `is_long` a box."""

    key: str
    label: str
    value: str = ""
    hint: str | None = None
    is_long: bool = False
    is_required: bool = False
    max_chars: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Some of up to 10 `(name, value)`; none at all is an answer too."""

    key: str
    label: str
    choices: tuple[tuple[str, str], ...]
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Exactly one of 2 to 10 `(name, value)`; `value` is the one chosen at first. Its answer is a text."""

    key: str
    label: str
    choices: tuple[tuple[str, str], ...]
    value: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to attach, or not."""

    key: str
    label: str
    hint: str | None = None


Field = Text | Pick | Choice | File


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One to five questions. `subject`: as a button's."""

    action: Action
    subject: str
    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a form or a message: what Discord says of it. `size` in bytes."""

    url: str = field(repr=False)
    """Signed: who has it has the file, also one that only its owner can see."""
    size: int
    filename: str
    size_px: tuple[int, int] | None = None
    is_spoiler: bool = False
    option: str = ""
    """The option of a command that it came with, where several can have a file."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Attached:
        width, height = data.get("width"), data.get("height")
        size_px = (int(width), int(height)) if width and height else None
        return cls(str(data["url"]), int(data["size"]), str(data["filename"]), size_px)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was filled in, by the key of its field."""

    texts: Mapping[str, str] = field(default_factory=dict)
    picked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, Attached] = field(default_factory=dict)
