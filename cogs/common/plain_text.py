"""Plain text and files as discord.py sends them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TypedDict

import discord

from cogs.common.message_limits import cut_text, fit_text
from cogs.common.messages import Picture

_MAX_ALT, _MAX_OWN_ALT = 250, 1024
"""Discord takes 1,024; but it is read out aloud."""


class Plain(TypedDict):
    """A message of plain text to send: the arguments of discord.py."""

    content: str
    files: list[discord.File]


def build_plain(text: str) -> Plain:
    """Return plain text as it is sent; the whole of one over Discord's limit is attached as a file."""
    within, attached = fit_text(text)
    return Plain(content=within, files=build_files(attached))


def build_files(pictures: Iterable[Picture]) -> list[discord.File]:
    """Return the files, fresh each time: discord.py reads a file once."""
    return [
        discord.File(io.BytesIO(picture.data), filename=picture.filename, description=get_alt_text(picture))
        for picture in pictures
    ]


def get_alt_text(picture: Picture) -> str | None:
    """Return the text for who does not see the picture; Discord takes no empty one."""
    return cut_text(picture.alt, _MAX_OWN_ALT if picture.is_alt_whole else _MAX_ALT) or None
