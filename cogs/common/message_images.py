"""The pictures people see in a message, wherever it holds them: attached, in embeds, in components, or forwarded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import discord

from cogs.common.attachments import is_on_discord, read_attachment
from cogs.common.forms import Attached

_MAX_NAME_CHARS = 100
Holder = discord.Message | discord.MessageSnapshot


def find_pictures(message: discord.Message) -> Iterator[Attached]:
    """Yield what can be fetched from Discord of the pictures in a message, then of those in what it forwards."""
    holders: list[Holder] = [message, *message.message_snapshots]
    for holder in holders:
        yield from _find_in_holder(holder)


def _find_in_holder(holder: Holder) -> Iterator[Attached]:
    yield from (read_attachment(each) for each in holder.attachments if each.width and each.height)
    media = [(each, False) for embed in holder.embeds for each in (embed.image, embed.thumbnail)]
    for each, is_spoiler in (*media, *_find_media(holder.components)):
        if (picture := _read_picture(each)) is not None:
            yield replace(picture, is_spoiler=is_spoiler)


def _find_media(components: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Yield the media of components at any depth, in reading order, each with whether it is behind a spoiler."""
    for component in components:
        match component:
            case discord.MediaGalleryComponent():
                yield from ((item.media, item.spoiler) for item in component.items)
            case discord.ThumbnailComponent() | discord.FileComponent():
                yield component.media, component.spoiler
            case discord.SectionComponent():
                yield from _find_media((*component.children, component.accessory))
            case discord.Container():
                hidden = bool(component.spoiler)
                yield from ((media, hidden or is_spoiler) for media, is_spoiler in _find_media(component.children))


def _read_picture(media: Any) -> Attached | None:
    """Return one media item of an embed or a component; None if it is no picture, or not to be had from Discord.

    What another site holds is fetched from Discord's own proxy, never from there.
    """
    kind = getattr(media, "content_type", None) or "image/"
    url = next((each for each in (media.url, media.proxy_url) if each and is_on_discord(each)), None)
    if url is None or not (media.width and media.height) or not kind.startswith("image/"):
        return None
    name = unquote(PurePosixPath(urlsplit(url).path).name)[-_MAX_NAME_CHARS:]
    return Attached(url, 0, name, (media.width, media.height))
