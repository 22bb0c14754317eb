"""Whether the bot may post in a channel, by the permissions that Discord tells of it."""

from __future__ import annotations

import discord

from cogs.common.errors import CannotPostError, ShowcaseClosedError
from cogs.context import Interaction
from cogs.i18n.gettext import N_, _, join_list

_VIEW, _SEND, _SEND_IN_THREAD, _ATTACH = (
    N_("View Channel"),
    N_("Send Messages"),
    N_("Send Messages in Threads"),
    N_("Attach Files"),
)


def can_write_in(channel: discord.TextChannel | discord.Thread) -> bool:
    """Return whether the bot may write text in a channel of a server."""
    have = channel.permissions_for(channel.guild.me)
    return not _list_missing(have, is_thread=isinstance(channel, discord.Thread), sends_files=False)


def require_can_share(channel: discord.abc.GuildChannel) -> None:
    """Raise `ShowcaseClosedError` naming what the bot lacks to post pictures there. A forum takes posts as messages."""
    have = channel.permissions_for(channel.guild.me)
    missing = _list_missing(have, is_thread=False, sends_files=True)
    if missing:
        names = join_list([_("“{permission}”", permission=_(name)) for name in missing])
        raise ShowcaseClosedError(names=names, channel=channel.mention)


def require_can_post(interaction: Interaction) -> None:
    """Raise `CannotPostError` naming what the bot lacks to post pictures here: checked before any work is done."""
    is_thread = isinstance(interaction.channel, discord.Thread)
    missing = _list_missing(interaction.app_permissions, is_thread=is_thread, sends_files=True)
    if missing:
        names = join_list([_("“{permission}”", permission=_(name)) for name in missing])
        raise CannotPostError(names=names)


def _list_missing(have: discord.Permissions, *, is_thread: bool, sends_files: bool) -> list[str]:
    """Return the names of the permissions that are missing, as Discord shows them."""
    needed = {
        _VIEW: have.view_channel,
        _SEND_IN_THREAD if is_thread else _SEND: have.send_messages_in_threads if is_thread else have.send_messages,
        _ATTACH: have.attach_files or not sends_files,
    }
    return [name for name, is_granted in needed.items() if not is_granted]
