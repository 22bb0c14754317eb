"""“Tell me when done”: an edit notifies no one, so members who asked for it get a message of their own."""

from __future__ import annotations

import logging
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import discord

from cogs.common.discord_errors import Step, classify_error
from cogs.common.message_limits import MAX_MENTIONS
from cogs.common.plain_text import build_plain
from cogs.context import BaseBot
from cogs.delivery._poster import Posted
from cogs.i18n.gettext import N_, _, list_languages, use_language
from cogs.results import DONE
from cogs.services import Services
from generation.jobs.job import Job
from generation.owner import USER_TENANT
from generation.policy.member_preferences import NotifyBy
from generation.scheduling.active_jobs import JobView

log = logging.getLogger(__name__)
DONE_THERE = N_("Your pictures are ready: {link}")
_DIGITS = string.digits + string.ascii_letters
_JOB_CHARS = 13
"""So many of a job's id tell it from all others; 11 digits name any member."""


async def notify_subscribers(client: BaseBot, services: Services, job_id: str, posted: Posted, told: set[int]) -> bool:
    """Tell each once, by a mention beneath the finished message or a direct message, as they chose with `/me`.

    Where Discord refuses the one it is the other, but nothing is said in a channel of a result that one person sees.
    What it refuses both ways is only logged: the pictures are there in any case. `told`: who was, in earlier tries.
    Raise `discord.HTTPException` if Discord is down: it may work later, and the nonce keeps it from being said twice.
    Return whether anyone wanted to be told.
    """
    left = [each for each in await services.favourites.fetch_notified(job_id) if each not in told]
    if not left:
        return bool(told)
    is_private = (await services.deliveries.fetch(job_id)).reply_to.is_private
    guild_id = (await services.jobs.fetch_job(job_id)).owner.guild_id
    link = (
        None
        if is_private
        else f"https://discord.com/channels/{guild_id or '@me'}/{posted.channel_id}/{posted.message_id}"
    )
    say = partial(_write_to, client, services, job_id, link=link, told=told)
    by_message = [each for each in left if is_private or _wants_message(services, each)]
    closed = [each for each in by_message if not await say(each)]
    if is_private:
        return True
    by_mention = [each for each in left if each not in by_message]
    for refused in await _send_mentions(client, job_id, [*by_mention, *closed], posted, told):
        if refused not in closed:
            await say(refused)
    return True


async def note_long_wait(services: Services, view: JobView) -> bool:
    """Remember that the owner is to be told, if they want that for waits like this one. Return whether they are.

    A wait that cannot be foreseen, because the bot is starting or paused, may be a long one.
    """
    owner, generation = view.job.owner, services.generation
    over_s = services.preferences.get(owner.user_id).notify_over_s
    if over_s is None:
        return False
    is_held_up = not generation.is_ready or generation.is_paused
    is_long = is_held_up if view.wait_s is None else view.wait_s > over_s
    if over_s and not is_long:
        return False
    await services.favourites.request_notification(view.job.id, owner.user_id)
    return True


async def notify_owner(client: BaseBot, services: Services, job: Job, text: Callable[[], str]) -> bool:
    """Write to a job's owner, if they asked to be told when it is done. Whether it could be said.

    Where they brought the bot along, they are told without asking: they may not use it again for long. `text` is
    called to say it in their language.
    """
    is_theirs = job.owner.guild_id == USER_TENANT
    if not is_theirs and job.owner.user_id not in await services.favourites.fetch_notified(job.id):
        return False
    with _their_language(services, job.owner.user_id):
        return await _send_message(client, job.id, job.owner.user_id, text(), mark="!")


def _wants_message(services: Services, user_id: int) -> bool:
    return services.preferences.get(user_id).notify_by is NotifyBy.MESSAGE


async def _send_mentions(
    client: BaseBot, job_id: str, user_ids: list[int], posted: Posted, told: set[int]
) -> list[int]:
    """Send several messages where one does not hold them all. Return those whose message Discord refused.

    Each message has a nonce of its own, so none is posted twice.
    """
    refused: list[int] = []
    for some in split_batches(user_ids):
        try:
            await _send_mention(client, some, posted, nonce=build_nonce(job_id, some[0], mark="@"))
            told.update(some)
        except (discord.HTTPException, discord.RateLimited) as error:
            _log_refusal(job_id, error)
            refused += some
    return refused


async def _send_mention(client: BaseBot, user_ids: Sequence[int], posted: Posted, *, nonce: str) -> None:
    """As a reply where Discord takes one, else as a message of its own."""
    channel = client.get_partial_messageable(posted.channel_id)
    allowed = discord.AllowedMentions(users=[discord.Object(each) for each in user_ids])
    send = partial(channel.send, **build_plain(build_mention(user_ids)), allowed_mentions=allowed, nonce=nonce)
    try:
        await send(reference=channel.get_partial_message(posted.message_id).to_reference(fail_if_not_exists=False))
    except discord.HTTPException as error:
        if classify_error(error).step is not Step.NO_REFERENCE:
            raise
        await send()


def build_mention(user_ids: Sequence[int]) -> str:
    return " ".join(f"<@{user_id}>" for user_id in user_ids) + " " + _(DONE)


def build_nonce(job_id: str, user_id: int, *, mark: str = ".") -> str:
    """Return what keeps Discord from posting the same twice, of the messages of one job: at most 25 characters.

    It names the member, or the first of them, so that no two have the same: what is left of them after a restart may
    be fewer. `mark`: the kind of the message.
    """
    digits = ""
    while user_id:
        user_id, digit = divmod(user_id, len(_DIGITS))
        digits += _DIGITS[digit]
    return f"{job_id[:_JOB_CHARS]}{mark}{digits}"


def split_batches(user_ids: Sequence[int]) -> list[Sequence[int]]:
    """Return the members in groups of as many as one message can mention."""
    return [user_ids[first : first + MAX_MENTIONS] for first in range(0, len(user_ids), MAX_MENTIONS)]


async def _write_to(
    client: BaseBot, services: Services, job_id: str, user_id: int, *, link: str | None, told: set[int]
) -> bool:
    """Write a direct message, in their language. Whether Discord took it."""
    with _their_language(services, user_id):
        text = _(DONE) if link is None else _(DONE_THERE, link=link)
    if is_said := await _send_message(client, job_id, user_id, text):
        told.add(user_id)
    return is_said


async def _send_message(client: BaseBot, job_id: str, user_id: int, text: str, *, mark: str = ".") -> bool:
    """Return whether Discord took it: one member's closed messages keep no other from being told."""
    try:
        channel = await client.create_dm(discord.Object(user_id))
        await channel.send(**build_plain(text), nonce=build_nonce(job_id, user_id, mark=mark))
    except (discord.HTTPException, discord.RateLimited) as error:
        _log_refusal(job_id, error)
        return False
    return True


@contextmanager
def _their_language(services: Services, user_id: int) -> Iterator[None]:
    """Speak the language a member chose; if they chose none, go on in the job's."""
    chosen = services.preferences.get(user_id).language
    with use_language(chosen) if chosen in list_languages() else nullcontext():
        yield


def _log_refusal(job_id: str, error: discord.HTTPException | discord.RateLimited) -> None:
    if isinstance(error, discord.HTTPException) and error.status >= 500:
        raise error
    log.info("job=%s action=not-told reason=%s error=%s", job_id, classify_error(error).step, error)
