"""Files that people attach: fetched from Discord's own CDN only, over no redirect, and never more than allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import discord

from cogs.common.errors import FileNotFetchedError, FileNotOnDiscordError, MaskSizeError, OptionFileError
from cogs.common.forms import Attached
from cogs.context import Interaction, get_owner
from generation.errors import FileTooLargeError, InvalidRequestError
from generation.images.codec import MAX_UPLOAD_BYTES
from generation.images.colours import Reading
from generation.images.loans import Loans, hold_loans
from generation.images.untrusted_decoder import Size, fit_upright
from generation.owner import DM_TENANT, Owner
from generation.policy.rate_limit import FILES_PER_MINUTE

TIMEOUT_S = 20.0
_CDN = "https://cdn.discordapp.com"
_PROXIES = (
    "https://media.discordapp.net",
    "https://images-ext-1.discordapp.net",
    "https://images-ext-2.discordapp.net",
)
"""Where Discord keeps what it shows of other sites, and smaller forms of what is on its CDN."""


def read_attachment(file: discord.Attachment, *, option: str = "") -> Attached:
    """Return what Discord says of a file. `option`: where it came with one of several that can have files."""
    size_px = (file.width, file.height) if file.width and file.height else None
    return Attached(file.url, file.size, file.filename, size_px, file.is_spoiler(), option)


def is_on_discord(url: str) -> bool:
    """Return whether a link leads to Discord's CDN or media proxies, the only hosts that files are fetched from."""
    # `Asset.BASE` is the CDN discord.py speaks to: the real one, or the local one of a trial, which has no proxies.
    hosts = (_CDN, *_PROXIES) if discord.Asset.BASE == _CDN else (discord.Asset.BASE,)
    return url.startswith(tuple(f"{host}/" for host in hosts))


async def fetch_attachment(
    attachment: discord.Attachment | Attached,
    connector: aiohttp.BaseConnector | None,
    *,
    max_bytes: int = MAX_UPLOAD_BYTES,
) -> bytes:
    """Return the bytes of an attached file. Raise `InvalidRequestError` if it is too large, gone, or not where it
    should be."""
    if not is_on_discord(attachment.url):
        raise FileNotOnDiscordError
    if attachment.size > max_bytes:
        raise FileTooLargeError(most=max_bytes // 2**20)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, connector_owner=connector is None, timeout=timeout) as session,
            session.get(attachment.url, allow_redirects=False, raise_for_status=True) as answer,
        ):
            data = await answer.content.read(max_bytes + 1) if answer.status == 200 else b""
            while 0 < len(data) <= max_bytes and (more := await answer.content.read(max_bytes)):
                data += more
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise FileNotFetchedError from None
    if not data:
        raise FileNotFetchedError
    if len(data) > max_bytes:
        raise FileTooLargeError(most=max_bytes // 2**20)
    return data


@asynccontextmanager
async def open_attachment(
    interaction: Interaction, file: discord.Attachment | Attached, *, max_bytes: int = MAX_UPLOAD_BYTES
) -> AsyncIterator[bytes]:
    """Return the bytes of an attached file, while they are needed. Raise `Refused`, and as `fetch_attachment` does.

    Callers have asked the gate before. So many a minute of one member, and a few at a time in fair turns: files are
    decoded more slowly than they come, and hundreds would fill the memory meanwhile.
    """
    services, owner = interaction.client.services, get_owner(interaction)
    member = Owner(DM_TENANT, owner.user_id)  # the same in every server
    services.file_rates.take(member, limit=FILES_PER_MINUTE)
    async with services.files_in_hand.turn(owner):
        yield await fetch_attachment(file, interaction.client.connector, max_bytes=max_bytes)


class Lent(Loans):
    """Files put on disk for one request: `keep_attached` and `keep` put them, `lend_files` decides about them."""

    def __init__(self, interaction: Interaction) -> None:
        super().__init__(interaction.client.services.generation.files)
        self._interaction = interaction

    async def keep_attached(
        self, file: Attached, fit: Callable[[Size | None], Size], *, is_mask: bool = False
    ) -> tuple[str, Size | None]:
        """Fetch an attached picture and put it, cropped and scaled to what `fit` makes of its size.

        Return its SHA-256 and its size. Raise `InvalidRequestError` or `Refused`.
        """
        reading = Reading.MASK if is_mask else Reading.PICTURE
        try:
            async with open_attachment(self._interaction, file) as data:
                png, size_px = await fit_upright(data, file.size_px, fit, get_owner(self._interaction), reading=reading)
        except InvalidRequestError as wrong:
            if not file.option:
                raise
            raise OptionFileError(option=file.option, why=wrong) from wrong
        return await self.keep(png), size_px


@asynccontextmanager
async def lend_files(interaction: Interaction) -> AsyncIterator[Lent]:
    """Hold the files of a request until it is accepted; take them away again if it is refused."""
    lent = Lent(interaction)
    async with hold_loans(lent):
        yield lent


def require_size_px(mask_px: Size | None, size_px: Size) -> None:
    """Raise `MaskSizeError` unless the mask has the picture's size: it could not be told where its white is
    meant."""
    if mask_px != size_px:
        width, height = size_px
        raise MaskSizeError(width=width, height=height)
