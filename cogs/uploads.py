"""Files that people attach: fetched from Discord's own CDN only, over no redirect, and never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import discord

from cogs.form import Attached
from cogs.services import Interaction
from generation.decoder import fit_picture
from generation.errors import InvalidRequest
from generation.files import ImageFiles
from generation.images import MAX_UPLOAD_BYTES, OtherSize
from generation.phrase import Phrase

TIMEOUT_S = 20.0
NO_FILE = "0" * 64
"""Stands for a file that is not fetched yet, where a request is checked before the acknowledgement."""
Size = tuple[int, int]


def attached(file: discord.Attachment) -> Attached:
    size_px = (file.width, file.height) if file.width and file.height else None
    return Attached(file.url, file.size, file.filename, size_px)


async def fetch_attachment(attachment: discord.Attachment | Attached, connector: aiohttp.BaseConnector | None) -> bytes:
    """The bytes of an attached file. Raises `InvalidRequest` if it is too large, gone, or not where it should be."""
    # `Asset.BASE` is the CDN discord.py speaks to: the real one, or the local one of a trial.
    if not attachment.url.startswith(f"{discord.Asset.BASE}/"):
        raise InvalidRequest(what=Phrase("The file"), problem=Phrase("is not on Discord."))
    if attachment.size > MAX_UPLOAD_BYTES:
        raise InvalidRequest(
            what=Phrase("The file"), problem=Phrase("is over {most} MiB.", most=MAX_UPLOAD_BYTES // 2**20)
        )
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, connector_owner=connector is None, timeout=timeout) as session,
            session.get(attachment.url, allow_redirects=False, raise_for_status=True) as answer,
        ):
            data = await answer.content.read(MAX_UPLOAD_BYTES + 1) if answer.status == 200 else b""
            while 0 < len(data) <= MAX_UPLOAD_BYTES and (more := await answer.content.read(MAX_UPLOAD_BYTES)):
                data += more
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise InvalidRequest(
            what=Phrase("The file"), problem=Phrase("could not be fetched from Discord. Attach it again.")
        ) from None
    if not data or len(data) > MAX_UPLOAD_BYTES:
        raise InvalidRequest(what=Phrase("The file"), problem=Phrase("is empty, gone, or too large."))
    return data


@asynccontextmanager
async def fetched(interaction: Interaction, file: discord.Attachment | Attached) -> AsyncIterator[bytes]:
    """The bytes of an attached file, while they are needed. Raises as `fetch_attachment` does.

    A few at a time: they are decoded more slowly than they come, and hundreds would fill the memory meanwhile.
    """
    async with interaction.client.services.files_in_hand:
        yield await fetch_attachment(file, interaction.client.connector)


async def keep_start_image(
    data: bytes, said_px: Size | None, fit: Callable[[Size | None], Size], files: ImageFiles
) -> tuple[str, Size | None]:
    """A start image, cropped and scaled to what `fit` makes of its size, and kept on disk: its SHA-256, and its size.

    Discord says how large it is, `said_px`; but a photograph may lie on its side, and what counts is what people see.
    Raises `InvalidRequest`.
    """
    try:
        png, size_px = await fit_picture(data, fit(said_px), said_px=said_px), said_px
    except OtherSize as upright:
        png, size_px = await fit_picture(data, fit(upright.size_px)), upright.size_px
    return await asyncio.to_thread(files.put, png), size_px


async def keep_attached(
    interaction: Interaction, file: Attached, fit: Callable[[Size | None], Size]
) -> tuple[str, Size | None]:
    """Fetch an attached picture and keep it: see `keep_start_image`."""
    async with fetched(interaction, file) as data:
        return await keep_start_image(data, file.size_px, fit, interaction.client.services.studio.files)


def require_size_px(mask_px: Size | None, size_px: Size) -> None:
    """Raise `InvalidRequest` unless the mask has the picture's size: it could not be told where its white is meant."""
    if mask_px != size_px:
        there = Phrase("of no known size") if mask_px is None else "{}x{}".format(*mask_px)
        wanted = "{}x{}".format(*size_px)
        problem = Phrase("is {there}; it must be {wanted}, as the picture is.", there=there, wanted=wanted)
        raise InvalidRequest(what=Phrase("The mask"), problem=problem)
