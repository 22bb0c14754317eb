"""What is told under a menu of the settings panel about a choice that cannot work as things are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import discord

from cogs.common.formatting import escape_markdown
from cogs.i18n.gettext import N_, _
from cogs.settings._field_kinds import Field
from cogs.settings._fields import CHANNELS, LOG, MODELS, RETENTION, ROLES, SHARE, START_ROLES
from generation.policy.guild_settings import GuildSettings

NO_LONGER_THERE = N_("Deleted: {listed}.")
DELETES_OLD = N_("Pictures that are already older are deleted soon. This cannot be undone.")
UNWRITABLE = N_("I may not write in {channels}. Give me the permissions to view them and to send messages there.")

_MAX_NAMED = 10
NO_CHANNEL_LEFT = N_("All of them were deleted, so I cannot paint in this server. Choose others, or remove them below.")
_NOTHING_LEFT = {
    CHANNELS.key: NO_CHANNEL_LEFT,
    ROLES.key: N_("All of them were deleted, so no one may make requests. Choose others, or remove them below."),
    START_ROLES.key: N_(
        "All of them were deleted, so no one may use their own start images. Choose others, or remove them below."
    ),
    MODELS.key: N_("All of them were removed, so I cannot paint in this server. Choose others, or remove them below."),
}


def list_notes(
    field: Field, settings: GuildSettings, gone: Collection[str], guild: discord.Guild | None
) -> Sequence[str]:
    """Return the sentences for one menu. `gone`: what of its choice is no longer there."""
    chosen = list(field.chosen(settings))
    notes = []
    if gone:
        shown = [f"`{escape_markdown(each, limit=60)}`" for each in sorted(gone)]
        listed = ", ".join((*shown[:_MAX_NAMED], *(["…"] if len(shown) > _MAX_NAMED else [])))
        notes.append(_(NO_LONGER_THERE, listed=listed))
    if gone and set(chosen) <= set(gone) and field.key in _NOTHING_LEFT:
        notes.append(_(_NOTHING_LEFT[field.key]))
    if field.key in (CHANNELS.key, LOG.key, SHARE.key) and guild is not None:
        there = [each for each in chosen if each not in gone]
        notes += _is_unwritable(guild, there)
    if field.key == RETENTION.key and settings.choices.retention_days:
        notes.append(_(DELETES_OLD))
    return notes


def _is_unwritable(guild: discord.Guild, channel_ids: Sequence[str]) -> Iterator[str]:
    closed = [each for each in channel_ids if not may_write(guild, int(each))]
    if closed:
        listed = ", ".join(f"<#{each}>" for each in closed[:5])
        yield _(UNWRITABLE, channels=listed)


def may_write(guild: discord.Guild, channel_id: int) -> bool:
    """Return whether the bot may see a channel and write in it (in a forum: in its posts). True if it is unknown."""
    channel = guild.get_channel_or_thread(channel_id)
    if channel is None or guild.me is None:
        return True
    may = channel.permissions_for(guild.me)
    is_forum = isinstance(channel, discord.Thread | discord.ForumChannel)
    return may.view_channel and (may.send_messages_in_threads if is_forum else may.send_messages)
