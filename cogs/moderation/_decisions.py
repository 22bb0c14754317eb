"""What moderators decide of a job that was reported or withheld: by the buttons of `/review`, or on the web page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import discord

from cogs.common.checks import fetch_language_of_guild, write_in_log_channel
from cogs.common.errors import NotAModeratorError
from cogs.common.plain_text import build_plain
from cogs.context import BaseBot
from cogs.i18n.gettext import N_, _, use_language
from cogs.moderation import _messages
from cogs.services import Services
from db.stores.audit_log import Entry
from generation.admission.errors import MembersUnknownError
from generation.errors import UnknownJobError
from generation.images.cleanup import remove_files
from generation.jobs.job import NO_CHANNEL, Job
from generation.owner import Owner
from generation.translatable import Phrase


@dataclass(frozen=True, slots=True)
class Decision:
    """What a moderator can decide of a job."""

    label: str
    deletes: bool = True
    warns: bool = False
    blocked_for: timedelta | None = None

    @property
    def said(self) -> Phrase:
        """What the audit log says of it."""
        return Phrase("review: {decision}", decision=Phrase(self.label))


DECISIONS = {
    "dismiss": Decision(N_("Nothing wrong"), deletes=False),
    "delete": Decision(N_("Delete")),
    "warn": Decision(N_("Delete and warn"), warns=True),
    "block": Decision(N_("Delete and block for a day"), blocked_for=timedelta(days=1)),
}


async def apply_decision(bot: BaseBot, guild: discord.Guild, job: Job, decision: Decision, entry: Entry) -> None:
    """Close what waits of a job; take it down where the moderator says so; tell the log channel."""
    services = bot.services
    gone = await services.moderation.decide(
        guild.id, job, entry, deletes=decision.deletes, blocked_for=decision.blocked_for
    )
    await remove_files(services.generation.files, gone)
    language = await fetch_language_of_guild(bot, guild)
    if decision.deletes:
        await _take_down(bot, job, language if decision.warns else None)
    await write_in_log_channel(bot, guild, entry.by, decision.said, language=language)


async def _take_down(bot: BaseBot, job: Job, warned_in: str | None) -> None:
    """Delete the message with the pictures, if it is there and may be deleted; warn their owner in that language."""
    try:
        place = (await bot.services.deliveries.fetch(job.id)).reply_to
    except UnknownJobError:
        return
    channel = bot.get_partial_messageable(place.channel_id)
    with suppress(discord.HTTPException):
        if place.message_id is not None:
            await channel.get_partial_message(place.message_id).delete()
    if warned_in is not None and place.channel_id != NO_CHANNEL:
        with suppress(discord.HTTPException):
            whom = discord.AllowedMentions(users=True, roles=False, everyone=False)
            with use_language(warned_in):
                said = _(_messages.WARNED, whom=f"<@{job.owner.user_id}>")
            await channel.send(**build_plain(said), allowed_mentions=whom)


class ReviewDesk:
    """Decides for those who sit at a web page, by the rights that they have on Discord now."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def moderates(self, owner: Owner) -> bool:
        """Return whether the member may moderate all of that server. Raise `MembersUnknownError`."""
        member = await self._services.member_roles.fetch_member(owner)
        if member is None:
            return False
        if member.guild.get_role(owner.guild_id) is None:  # @everyone: what roles may do is not known yet
            raise MembersUnknownError
        return member.guild_permissions.manage_messages

    async def decide(self, owner: Owner, job: Job, name: str) -> None:
        """Do what the button of that name does. Raise `NotAllowedError`, `UnknownJobError`, `MembersUnknownError`."""
        if not await self.moderates(owner):
            raise NotAModeratorError
        bot, decision = self._services.member_roles.client, DECISIONS.get(name)
        assert isinstance(bot, BaseBot), "that is what is connected"
        guild = bot.get_guild(owner.guild_id)
        if decision is None or guild is None or job.owner.guild_id != owner.guild_id:
            raise UnknownJobError
        await apply_decision(bot, guild, job, decision, Entry(owner.user_id, decision.said))
