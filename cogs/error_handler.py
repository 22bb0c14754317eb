"""The one table from an exception to what a person reads and what is logged; and the way to tell them.

Precedence: what discord.py wraps is unwrapped first; then our own errors speak for themselves; then what Discord
says; everything else is our fault and gets an incident number, in the reply and in the log.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import discord
from discord import app_commands

from cogs.acknowledgement import NotAcknowledgedError
from cogs.common.formatting import escape_markdown
from cogs.common.message_limits import MAX_CONTENT, cut_text
from cogs.common.plain_text import build_plain
from cogs.context import Interaction
from cogs.i18n.gettext import N_, _, format_error
from generation import metrics
from generation.errors import AtelierError, NotAcceptedError

log = logging.getLogger(__name__)
LOST = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError)
"""What becomes of words to a Discord that is busy, down or out of reach. (A TimeoutError is an OSError.)"""
RETRY_S = (0.5, 2.0, 5.0, 10.0)
"""Pauses between tries to say what a person waits to read."""

STALE = N_("This command was just updated. Wait a minute, then try again.")
BAD_VALUE = N_("“{value}” is not a valid option. Choose one that Discord offers.")
NOT_HERE = N_("This does not work here. Try it in a channel of a server.")
FORBIDDEN = N_(
    "I do not have the permission to do that here. Someone with “Manage Server” can allow it under “Integrations”."
)
STRAY_BUTTON = N_("I do not know this button. It costs nothing.")
UNEXPECTED = N_("Something went wrong in the bot, and it is in the log. It costs nothing. (Incident `{incident}`)")
ACCEPTED = N_(
    "Something went wrong in the bot, and it is in the log. Your request is accepted and continues. "
    "(Incident `{incident}`)"
)


class AnsweredError(Exception):
    """Something went wrong and the person has been told, so nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person reads, and how loudly it is logged."""

    text: str
    level: int
    incident: str | None = None


def translate(error: BaseException, *, is_accepted: bool = False) -> Answer:
    """Return what an error means. `is_accepted`: it happened after the request had become a job, which goes on."""
    match _unwrap(error):
        case NotAcceptedError() as known:
            return Answer(format_error(known), logging.WARNING)
        case AtelierError() as known:
            return Answer(cut_text(format_error(known), MAX_CONTENT), logging.INFO)
        case app_commands.TransformerError() as known:
            return Answer(_(BAD_VALUE, value=escape_markdown(str(known.value), limit=60)), logging.INFO)
        case app_commands.CommandSignatureMismatch() | app_commands.CommandNotFound():
            return Answer(_(STALE), logging.WARNING)
        case app_commands.CheckFailure():
            return Answer(_(NOT_HERE), logging.INFO)
        case discord.Forbidden():
            return Answer(_(FORBIDDEN), logging.INFO)
        case _:
            incident = secrets.token_hex(4)
            return Answer(_(ACCEPTED if is_accepted else UNEXPECTED, incident=incident), logging.ERROR, incident)


async def answer(
    interaction: Interaction,
    error: BaseException,
    *,
    is_accepted: bool = False,
    make_way: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Tell the person, privately, and the log. Never raises for what Discord may have against it.

    `is_accepted`: see `translate`. `make_way`: what comes before a follow-up, which Discord would put in the place of a
    “thinking…” that all can see.
    """
    match _unwrap(error):
        case AnsweredError():
            return
        case NotAcknowledgedError() as unheard:
            log.warning("interaction=%s action=not-acknowledged reason=%s", interaction.id, unheard)
            return
    answered = translate(error, is_accepted=is_accepted)
    _log(interaction, _unwrap(error), answered)
    try:
        if make_way is not None:
            await make_way()
        await tell_privately(interaction, answered.text)
    except (*LOST, NotAcknowledgedError, discord.InteractionResponded) as failed:
        log.warning("interaction=%s action=answer-failed error=%s", interaction.id, type(failed).__name__)


async def tell_privately(interaction: Interaction, text: str) -> None:
    """Say something that only the person sees: first, or after an answer that all may see or only they do."""
    if not interaction.response.is_done():
        await interaction.response.send_message(**build_plain(text), ephemeral=True)
        return
    await retry_briefly(lambda: interaction.followup.send(**build_plain(text), ephemeral=True))


async def delete_answer(interaction: Interaction) -> None:
    """Delete a public “thinking…”: it cannot become private."""
    with suppress(discord.NotFound):
        await retry_briefly(interaction.delete_original_response)


async def retry_briefly(work: Callable[[], Awaitable[object]]) -> None:
    """Do it, again where Discord cannot be reached. A refusal is raised at once."""
    for pause_s in RETRY_S:
        try:
            await work()
            return
        except LOST as error:
            if isinstance(error, discord.HTTPException) and error.status < 500:
                raise
        await asyncio.sleep(pause_s)
    await work()


def _unwrap(error: BaseException) -> BaseException:
    if isinstance(error, app_commands.CommandInvokeError):
        return error.original
    if isinstance(error, app_commands.TransformerError) and error.__cause__ is not None:
        return error.__cause__
    return error


def _log(interaction: Interaction, error: BaseException, answered: Answer) -> None:
    where = f"interaction={interaction.id} guild={interaction.guild_id}"
    if answered.incident is not None:
        metrics.INCIDENTS.inc()
        log.error("%s incident=%s action=failed", where, answered.incident, exc_info=error)
    else:
        metrics.count_refusal(error)
        log.log(answered.level, "%s action=refused error=%s", where, type(error).__name__)
