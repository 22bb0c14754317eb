"""For moderators: reports and the review queue, /block, /unblock, /purge, /safety. For everybody: “Report picture”."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Self

import discord
from discord import app_commands, ui
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.checks import (
    build_audit_entry,
    require_manager,
    require_moderator,
    tell_log_channel,
)
from cogs.common.components import list_custom_ids
from cogs.common.custom_ids import PATTERNS, CustomId, Kind, find_job_id
from cogs.common.deleted_references import read_id
from cogs.common.errors import OneMemberError
from cogs.common.lookups import fetch_job
from cogs.common.member_language import get_locale
from cogs.common.messages import Action, Gallery, Picture
from cogs.common.rendering import New, render_new
from cogs.common.responses import send_reply, send_text
from cogs.context import ButtonHandler, Interaction
from cogs.error_handler import answer, tell_privately
from cogs.i18n.gettext import N_, _, set_language
from cogs.moderation import _messages
from cogs.moderation._decisions import DECISIONS, apply_decision
from cogs.results import MessageVariant, build_result_message
from cogs.services import Services
from generation.errors import UnknownJobError
from generation.images.cleanup import remove_files
from generation.jobs.job import Job, split_image_id
from generation.policy.policy import ChannelContext
from generation.requests.drawing import list_prompts
from generation.translatable import Phrase

KEPT_BACK = N_("Withheld by the safety checker")
UNBLOCKED = N_("{whom} can make requests again.")

LASTING = {N_("one hour"): 1, N_("one day"): 24, N_("one week"): 7 * 24, N_("four weeks"): 28 * 24}
_LASTING = [Choice(name=name, value=hours) for name, hours in LASTING.items()]
_LOOK_BACK = timedelta(days=30)
_REVIEW_BYTES = 8 * 1024 * 1024


class Moderation(commands.Cog):
    """Every one of these checks the permission itself: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Review reported and withheld pictures, one by one. For moderators.")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_messages=True)
    async def review(self, interaction: Interaction) -> None:
        guild_id = require_moderator(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        due = await _build_next(interaction.client.services, guild_id, now=interaction.created_at)
        await interaction.followup.send(**due, ephemeral=True)

    @app_commands.command(description="Block a member from making requests here. For moderators.")
    @app_commands.describe(
        member="The member.",
        lasting="How long. If left out: until you unblock them.",
        id="Or the Discord id of a member who left.",
    )
    @app_commands.choices(lasting=_LASTING)
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_messages=True)
    async def block(
        self,
        interaction: Interaction,
        member: discord.User | None = None,
        lasting: Choice[int] | None = None,
        id: str | None = None,
    ) -> None:
        guild_id, user_id = require_moderator(interaction), _get_member_id(member, id)
        hours = timedelta(hours=lasting.value) if lasting else None
        how_long = Phrase(lasting.name) if lasting else Phrase("until unblocked")
        said = Phrase("blocked a member ({how_long})", how_long=how_long)
        entry = build_audit_entry(interaction, said)
        until = await interaction.client.services.moderation.block(guild_id, user_id, entry, lasting=hours)
        await tell_log_channel(interaction, said)
        await tell_privately(interaction, _messages.format_blocked(user_id, until, is_for_ever=lasting is None))

    @app_commands.command(description="Let a blocked member make requests again. For moderators.")
    @app_commands.describe(member="The member.", id="Or the Discord id of a member who left.")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_messages=True)
    async def unblock(
        self, interaction: Interaction, member: discord.User | None = None, id: str | None = None
    ) -> None:
        guild_id, user_id = require_moderator(interaction), _get_member_id(member, id)
        done = Phrase("unblocked a member")
        entry = build_audit_entry(interaction, done)
        was = await interaction.client.services.moderation.unblock(guild_id, user_id, entry)
        if was:
            await tell_log_channel(interaction, done)
        whom = f"<@{user_id}>"
        said = _(UNBLOCKED, whom=whom) if was else _("{whom} was not blocked.", whom=whom)
        await tell_privately(interaction, said)

    @app_commands.command(description="Delete all pictures of a member in this server from the bot. For moderators.")
    @app_commands.describe(
        member="The member whose pictures are deleted.", id="Or the Discord id of a member who left."
    )
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_messages=True)
    async def purge(self, interaction: Interaction, member: discord.User | None = None, id: str | None = None) -> None:
        require_moderator(interaction)
        await send_reply(interaction, _messages.build_purge_question(_get_member_id(member, id)))

    @app_commands.command(
        description="Show results of the safety checker, and who is refused most often. For managers."
    )
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    async def safety(self, interaction: Interaction) -> None:
        guild_id = require_manager(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        judgements = await services.reviews.fetch_judgements(guild_id)
        members = await services.moderation.fetch_most_refused(guild_id, since=interaction.created_at - _LOOK_BACK)
        say = _messages.build_stats(judgements, members)
        await send_reply(interaction, say)


async def handle_purge(interaction: Interaction, subject: str) -> None:
    """Delete all pictures of a member: the moderator is sure."""
    guild_id, user_id = require_moderator(interaction), read_id(subject)
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    number = 0
    purging = services.moderation.purge(
        guild_id, user_id, by=interaction.user.id, said=_describe_purge, at=interaction.created_at
    )
    async for more, gone in purging:
        await remove_files(services.generation.files, gone)
        number += more
    await tell_log_channel(interaction, _describe_purge(number))
    await send_text(interaction, _messages.format_purged(number))


async def press_report(interaction: Interaction, subject: str) -> None:
    """Report the pictures under whose shared post the button is."""
    await _report(interaction, await fetch_job(interaction, subject))


async def _report(interaction: Interaction, job: Job) -> None:
    store = interaction.client.services.moderation
    is_new = await store.report(job.owner.guild_id, job.id, by=interaction.user.id, reason=N_("Reported by a member."))
    await tell_privately(interaction, _(_messages.REPORTED if is_new else _messages.REPORTED_ALREADY))


PRESSES: dict[Action, ButtonHandler] = {Action.PURGE: handle_purge, Action.REPORT: press_report}


@app_commands.context_menu(name="Report picture")
@app_commands.guild_only()
async def report_picture(interaction: Interaction, message: discord.Message) -> None:
    """Anybody may; whose message it was is not told who did."""
    job_id = find_job_id(list_custom_ids(message))
    if job_id is None or message.author.id != interaction.application_id:
        raise UnknownJobError
    await _report(interaction, await fetch_job(interaction, job_id))


class ReviewItem(ui.DynamicItem[ui.Button[ui.LayoutView]], template=PATTERNS[Kind.REVIEW]):
    """A button of the review queue."""

    def __init__(self, item: ui.Button[ui.LayoutView], *, verb: str, job_id: str) -> None:
        super().__init__(item)
        self.verb, self.job_id = verb, job_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item, verb=match["name"], job_id=match["subject"])  # type: ignore[arg-type]

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        set_language(get_locale(interaction))
        try:
            await _apply_decision(interaction, self.verb, self.job_id)
        except Exception as error:
            await answer(interaction, error)


async def _apply_decision(interaction: Interaction, verb: str, job_id: str) -> None:
    guild_id = require_moderator(interaction)
    if verb not in DECISIONS:
        raise UnknownJobError
    await interaction.response.defer()
    job, guild, decision = await fetch_job(interaction, job_id), interaction.guild, DECISIONS[verb]
    assert guild is not None, "its roles are known"
    await apply_decision(interaction.client, guild, job, decision, build_audit_entry(interaction, decision.said))
    due = await _build_next(interaction.client.services, guild_id, now=interaction.created_at)
    await interaction.edit_original_response(view=due["view"], attachments=due["files"])


async def _build_next(services: Services, guild_id: int, *, now: datetime) -> New:
    """Return the oldest thing to look at, with its buttons."""
    reports = await services.moderation.fetch_reports(guild_id)
    kept = await services.reviews.fetch_reviews(guild_id)
    if not reports and not kept:
        return render_new(_messages.build_nothing_to_review())
    job_id = reports[0].job_id if reports else split_image_id(kept[0].image_id)[0]
    job = await services.jobs.fetch_job(job_id)
    since = now - _LOOK_BACK
    refusals = await services.moderation.fetch_refusals(guild_id, job.owner.user_id, since=since)
    pictures = [
        Picture(f"kept-{number}.jpg", data, _("Withheld picture, blurred"), is_spoiler=True)
        for number, each in enumerate(kept)
        if each.image_id.startswith(job_id) and (data := services.generation.files.get(each.sha256)) is not None
    ]
    if reports:
        pictures += await _build_pictures(services, job_id)
    jobs = {report.job_id for report in reports} | {split_image_id(each.image_id)[0] for each in kept}
    say = _messages.build_review(
        title=_("Reported") if reports else _(KEPT_BACK),
        prompt=" / ".join(list_prompts(job.request)),
        user_id=job.owner.user_id,
        reason=_(reports[0].reason) if reports else "",
        pictures=pictures[:10],
        refusals=refusals,
        num_more=len(jobs) - 1,
    )
    due = render_new(say)
    row: ui.ActionRow[ui.LayoutView] = ui.ActionRow()
    for verb, decision in DECISIONS.items():
        style = discord.ButtonStyle.danger if decision.deletes else discord.ButtonStyle.secondary
        button: ui.Button[ui.LayoutView] = ui.Button(
            label=_(decision.label), style=style, custom_id=str(CustomId(Kind.REVIEW, verb, job_id))
        )
        row.add_item(ReviewItem(button, verb=verb, job_id=job_id))
    due["view"].add_row(row)
    return due


async def _build_pictures(services: Services, job_id: str) -> list[Picture]:
    """Return a reported job's pictures, behind spoilers: the moderator decides whether to look."""
    say = await build_result_message(
        await services.jobs.fetch_job(job_id),
        services,
        variant=MessageVariant(_REVIEW_BYTES),
        place=ChannelContext(is_age_restricted=True),
    )
    shown = [each for block in say.blocks if isinstance(block, Gallery) for each in block.pictures]
    return [Picture(each.filename, each.data, each.alt, is_spoiler=True) for each in shown]


def _describe_purge(number: int) -> Phrase:
    return Phrase("deleted {number} pictures of a member", number=number)


def _get_member_id(member: discord.User | None, typed: str | None) -> int:
    """Return the id of the one member who was named, by a menu or by their number. Raise `InvalidRequestError`."""
    if (member is None) == (typed is None):
        raise OneMemberError
    return member.id if member is not None else read_id(typed or "")
