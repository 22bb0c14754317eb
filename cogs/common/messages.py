"""What a message is made of, as plain values: words and pictures first, Discord's objects only at the very end.

Frozen and comparable, so that a message which would look the same is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path


class Tone(IntEnum):
    """The colour down the side of a message."""

    WAITING = 0x8A8F98
    PAINTING = 0x4C7DF0
    DONE = 0x3BA55D
    TROUBLE = 0xD9822B
    PLAIN = 0x6C5CE7


class Action(StrEnum):
    """What a button does. The name is part of `custom_id`: messages of years ago still hold it, so never rename one."""

    CANCEL = "cancel"
    UPSCALE = "up"
    VARY = "vary"
    REROLL = "reroll"
    RECIPE = "recipe"
    DELETE = "delete"
    HISTORY = "history"
    OPEN = "open"
    STRONG = "strong"
    DETAIL = "detail"
    ZOOM_HALF = "zoomhalf"
    ZOOM = "zoom"
    REGION = "region"
    REMIX = "remix"
    REPRODUCE = "again"
    FAVOURITE = "star"
    TELL = "tell"
    START = "start"
    STYLE = "style"
    LIST = "list"
    ALT = "alt"
    SHARE = "share"
    UNSHARE = "unshare"
    REPORT = "report"
    PAGE = "page"
    PURGE = "purge"
    PICTURE = "picture"
    ORIGINALS = "zip"
    GUIDE = "guide"


class Weight(StrEnum):
    """How much a button asks to be pressed."""

    MAIN = "main"
    USUAL = "usual"


@dataclass(frozen=True, slots=True)
class Button:
    """A button: what it does, and to what (`subject`: an id of at most 80 letters, digits and colons)."""

    action: Action
    subject: str
    label: str
    weight: Weight = Weight.USUAL


@dataclass(frozen=True, slots=True)
class Menu:
    """Buttons as a list to choose from: it takes one row, however many there are (up to 25).

    `subject` begins with the id of the job; no two menus of a message have the same.
    """

    subject: str
    placeholder: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to show, with the words for those who cannot see it."""

    filename: str
    data: bytes
    alt: str
    is_spoiler: bool = False
    is_alt_whole: bool = False
    """Whether a member wrote `alt` for this picture: it is not shortened."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A preview to show, which is read from disk when the message is sent: a list has many, and a page a few."""

    path: Path
    sha256: str
    filename: str
    alt: str
    is_spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Gallery:
    """One to ten pictures, large."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Text beside a small picture."""

    text: str
    thumbnail: Picture | StoredPicture


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin line between two parts."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A list, one text a line (or one beside a picture), shown by pages where it is long. A message holds at most one.

    `key` names what lists it again when the page is turned: letters and digits, parted by colons.
    """

    lines: tuple[str | Entry, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Long:
    """A text that may be long: what has no room in the message is in a file of that name. `alt` describes the file."""

    text: str
    filename: str
    alt: str
    is_code: bool = False


Block = str | Gallery | Entry | Rule | Lines | Long
Row = tuple[Button, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSpec:
    """One message. `attached` are files that are not shown but can be downloaded."""

    blocks: tuple[Block, ...]
    rows: tuple[Row, ...] = ()
    tone: Tone = Tone.PLAIN
    attached: tuple[Picture, ...] = ()
    menus: tuple[Menu, ...] = ()

    def pictures(self) -> Iterator[Picture]:
        """Every file of the message, in the order they are shown."""
        for block in self.blocks:
            if isinstance(block, Gallery):
                yield from block.pictures
            elif isinstance(block, Entry) and isinstance(block.thumbnail, Picture):
                yield block.thumbnail
        yield from self.attached
