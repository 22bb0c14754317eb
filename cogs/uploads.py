"""Files that people attach: fetched from Discord's own CDN only, over no redirect, and never more than allowed."""

from __future__ import annotations

import asyncio

import aiohttp
import discord

from cogs.form import Attached
from generation.decoder import fit_picture
from generation.errors import InvalidRequest
from generation.files import ImageFiles
from generation.images import MAX_UPLOAD_BYTES
from generation.phrase import Phrase

TIMEOUT_S = 20.0


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


async def keep_start_image(data: bytes, size_px: tuple[int, int], files: ImageFiles) -> str:
    """A start image, cropped and scaled to `size_px` and kept on disk. Its SHA-256; raises `InvalidRequest`."""
    return await asyncio.to_thread(files.put, await fit_picture(data, size_px))
