"""Share and Take back, and the end of posts whose pictures are gone."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord
from discord.ext import commands

from cogs.common.checks import fetch_language_of_server
from cogs.common.discord_errors import LATER, classify_error
from cogs.common.errors import NothingToShareError, ShareRefusedError
from cogs.common.lookups import fetch_job
from cogs.common.messages import Action, Gallery, MessageSpec, Picture
from cogs.common.policy_checks import require_may_request
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.context import BaseBot, ButtonHandler, Interaction, get_owner
from cogs.error_handler import tell_privately
from cogs.i18n.gettext import _, use_language
from cogs.results import MessageVariant, build_result_message, refresh_messages
from cogs.share import _messages
from cogs.share._checks import find_showcase, require_may_share, require_suits, require_words_allowed_there
from cogs.share._posts import Post, Showcase, create_post, delete_post, find_post
from generation.admission.context import RequestContext
from generation.jobs.job import Job
from generation.jobs.share import Share
from generation.policy.guild_preferences import Credit, GuildPreferences
from generation.policy.policy import ChannelContext

log = logging.getLogger(__name__)
EVERY_S = 15.0
"""Between two looks for posts whose pictures are gone: a query of a small table."""
EXPIRED_EVERY = 40
"""So many looks apart, also for those whose time is over."""


class Sharing(commands.Cog):
    """Takes down what shows nothing any more: deleted, erased, purged, withheld, or past its time."""

    def __init__(self, bot: BaseBot) -> None:
        self._bot = bot
        self._task: asyncio.Task[None] | None = None
        self.going: set[str] = set()
        """The jobs that are being shared at this moment."""

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="sharing")

    async def cog_unload(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _follow(self) -> None:
        turn = 0
        while True:
            try:
                await self._sweep(with_expired=turn % EXPIRED_EVERY == 0)
            except Exception:  # what fails now is looked at again
                log.exception("action=share-sweep-failed")
            turn += 1
            await asyncio.sleep(EVERY_S)

    async def _sweep(self, *, with_expired: bool) -> None:
        services = self._bot.services
        over = [share for share in await services.shares.fetch_orphans() if share.job_id not in self.going]
        if with_expired and (shown := await services.shares.fetch_files()):
            now = await services.retention.fetch_confirmed_now()
            expired = await services.retention.fetch_expired(frozenset().union(*shown.values()), now=now)
            over += [share for share, files in shown.items() if files <= expired]
        for share in over:
            await self._take_down(share)

    async def _take_down(self, share: Share) -> None:
        """Delete a post and forget it. Where the bot is no longer, or may not, it is tried again or left."""
        try:
            await delete_post(self._bot, share)
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
            log.info("share=%s action=not-taken-down error=%s", share.id, type(error).__name__)
            if self._bot.get_guild(share.guild_id) is not None:
                return
        await self._bot.services.shares.forget(share)


async def press_share(interaction: Interaction, subject: str) -> None:
    """Post the pictures of a job, once."""
    job = await fetch_job(interaction, subject)
    context, services = await require_may_request(interaction), interaction.client.services
    delivered = (await services.deliveries.fetch(job.id)).reply_to
    require_may_share(interaction, job, delivered)
    channel = find_showcase(interaction, context)
    place = await require_suits(interaction, delivered, channel)
    await require_words_allowed_there(interaction, context, job, place)
    going = _get_cog(interaction).going
    if job.id in going:
        await tell_privately(interaction, _(_messages.BEING_SHARED))
        return
    await interaction.response.defer()
    going.add(job.id)
    try:
        post = await _share(interaction, context, job, channel, place)
    finally:
        going.discard(job.id)
    await refresh_messages(interaction, job.id)
    link = f"https://discord.com/channels/{interaction.guild_id}/{post.channel_id}/{post.message_id}"
    await tell_privately(interaction, _(_messages.SHARED, link=link))


async def press_unshare(interaction: Interaction, subject: str) -> None:
    """Delete the post of a job, and offer to share it again."""
    job = await fetch_job(interaction, subject)
    services = interaction.client.services
    delivered, share = (await services.deliveries.fetch(job.id)).reply_to, await services.shares.fetch(job.id)
    require_may_share(interaction, job, delivered, channel_id=share.channel_id if share is not None else None)
    await interaction.response.defer()
    if share is not None:
        try:
            await delete_post(interaction.client, share)
        except discord.HTTPException as error:
            raise _explain(error, f"<#{share.channel_id}>") from error
        await services.shares.forget(share)
    await refresh_messages(interaction, job.id)
    await tell_privately(interaction, _(_messages.TAKEN_BACK if share is not None else _messages.NOT_SHARED))


async def _share(
    interaction: Interaction, context: RequestContext, job: Job, channel: Showcase, place: ChannelContext
) -> Post:
    """Return where the post of a job stands: there already, or made now. Nothing is kept if Discord refuses it."""
    shares, choices = interaction.client.services.shares, context.policy.choices
    share = await shares.reserve(job.id, guild_id=channel.guild.id, channel_id=channel.id, at=interaction.created_at)
    if share.message_id is not None:
        return Post(share.channel_id, share.message_id, share.is_thread)
    try:
        post = await find_post(channel, job)
        if post is None:
            post = await _post(interaction, job, share, channel, place, choices)
    except (ShareRefusedError, NothingToShareError):
        await shares.forget(share)
        raise
    await shares.set_post(share, channel_id=post.channel_id, message_id=post.message_id, is_thread=post.is_thread)
    log.info("job=%s action=shared", job.id)
    return post


async def _post(
    interaction: Interaction,
    job: Job,
    share: Share,
    channel: Showcase,
    place: ChannelContext,
    choices: GuildPreferences,
) -> Post:
    """Post in the variant that Discord takes. Raise `ShareRefusedError` if it takes none."""
    services, variant = interaction.client.services, MessageVariant(channel.guild.filesize_limit)
    with use_language(await fetch_language_of_server(interaction)):
        while True:
            async with services.drawing.turn(get_owner(interaction)):
                whole = await build_result_message(job, services, variant=variant, place=place)
            pictures = _list_pictures(whole)
            if not pictures:
                raise NothingToShareError(channel=channel.mention)
            say = _messages.build_shared(job, pictures, is_credited=choices.share_credit is Credit.NAMED)
            try:
                return await create_post(channel, job, share, say, choices.share_tags)
            except discord.HTTPException as error:
                try:
                    variant = variant.after(MessageRefusedError.of(error), say)
                except (MessageRefusedError, UnreachableError):
                    raise _explain(error, channel.mention) from error


def _list_pictures(say: MessageSpec) -> list[Picture]:
    return [picture for block in say.blocks if isinstance(block, Gallery) for picture in block.pictures]


def _explain(error: discord.HTTPException, channel: str) -> Exception:
    """Return what is said of a refusal; the error itself where trying again may help."""
    refusal = classify_error(error)
    if refusal.step in LATER and error.status >= 500:
        return error
    return ShareRefusedError(channel=channel, reason=_(refusal.why))


def _get_cog(interaction: Interaction) -> Sharing:
    cog = interaction.client.get_cog("Sharing")
    assert isinstance(cog, Sharing), "it is there as long as its buttons are handled"
    return cog


PRESSES: dict[Action, ButtonHandler] = {Action.SHARE: press_share, Action.UNSHARE: press_unshare}
