"""The tracker: follows every job from “in line” to its finished message, and delivers each result once.

The service says that *something* about a job has changed; one task a job looks what, and edits the job's message, at
most once in `PAUSES_S`. When the job has ended, its result is posted by the poster until that has worked, in turns with
those of other channels and servers, and only then marked as posted: after a crash anywhere in between it is simply
posted again, to the same message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import TypeVar

import discord

from cogs.common.discord_errors import Step
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.posting_turns import PostingTurns
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.common.submission import send_note
from cogs.context import BaseBot, Interaction
from cogs.delivery._notify import notify_owner, notify_subscribers
from cogs.delivery._poster import MessagePoster, Posted, TokenRefusedError
from cogs.delivery._presenter import ResultPresenter
from cogs.delivery._progress import ProgressMessages
from cogs.delivery._reopening import ReopenSchedule
from cogs.delivery._tracked_job import TrackedJob, settle
from cogs.error_handler import LOST
from cogs.i18n.gettext import set_language
from cogs.results import format_undelivered
from cogs.services import Services
from generation import tracing
from generation.errors import AtelierError, UnknownJobError
from generation.failpoints import reached
from generation.jobs.delivery import DeliveryState, DeliveryWay
from generation.jobs.job import Job, ReplyTo, Status
from generation.log_context import about
from generation.retry import double_pauses
from generation.scheduling.delivery_turns import Post

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSES_S = (0.4, 1.0, 2.0)
"""Between edits of one message: the first come quicker, then about one in two seconds."""
PLACE_EVERY_S = 10.0
"""How often the place in line is shown again while nothing else happens to a job; more rarely in a long line, so that
all of them together stay at about `PLACES_PER_S`."""
PLACES_PER_S = 20
RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
GRACE_S = 5.0


class DeliveryTracker:
    """See the module's text. `start` it when logged in; `close` it before the client."""

    def __init__(self, client: BaseBot, services: Services) -> None:
        self._client, self._services = client, services
        self._poster = MessagePoster(client, services.monotonic)
        self._presenter = ResultPresenter(client, services, self._poster)
        self._reopening = ReopenSchedule(self._reopen)
        self._rounds: dict[str, TrackedJob] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unwanted: set[str] = set()
        """Live jobs that no one on Discord waits for: each is looked up once."""
        self._is_open, self._orders, self._places = False, count(), PostingTurns()
        self._kept: defaultdict[int, list[str]] = defaultdict(list)
        self._progress = ProgressMessages(services, self._poster, self._places)

    async def start(self) -> None:
        """Hear of changes from now on, and take up what an earlier run left to deliver."""
        self._is_open = True
        self._services.generation.on_change = self.on_job_changed
        due = [delivery.job_id for delivery in await self._services.deliveries.fetch_due()]
        for job_id in (*due, *self._services.generation.list_live_ids()):
            self.on_job_changed(job_id)

    async def close(self) -> None:
        """Stop following. Posts that are under way get `GRACE_S` to end; what is cut off is due after the restart."""
        self._is_open = False
        if self._services.generation.on_change == self.on_job_changed:
            self._services.generation.on_change = lambda job_id: None
        await self._reopening.close()
        ending = [task for job_id, task in self._tasks.items() if self._rounds[job_id].ended.is_set()]
        if ending:
            await asyncio.wait(ending, timeout=GRACE_S)
        rest = self.tasks
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def watch(self, job_id: str, reply_to: ReplyTo, *, size_limit: int = DEFAULT_SIZE_LIMIT) -> None:
        """Follow a new job. `size_limit`: the largest file, in bytes, that may be posted where it was asked for."""
        self.on_job_changed(job_id)
        if job_id in self._rounds:
            self._rounds[job_id].reply_to = reply_to
            self._presenter.limit(job_id, size_limit)

    def on_job_changed(self, job_id: str) -> None:
        """Note that something about a job changed. Return at once."""
        if not self._is_open or self._is_unwanted(job_id):
            return
        if job_id not in self._tasks:
            self._rounds[job_id] = TrackedJob(next(self._orders))
            task = asyncio.create_task(self._follow(job_id), name=f"delivery {job_id}")
            self._tasks[job_id] = task
            task.add_done_callback(lambda done: self._forget(job_id, done))
        self._rounds[job_id].changed.set()
        if not self._services.generation.is_live(job_id):
            self._rounds[job_id].end()

    def _is_unwanted(self, job_id: str) -> bool:
        if job_id not in self._unwanted:
            return False
        if not self._services.generation.is_live(job_id):
            self._unwanted.discard(job_id)
        return True

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """One for each job that is being followed."""
        return list(self._tasks.values())

    async def shown(self, job_id: str) -> bool:
        """Wait until a job's message has replaced the “thinking…”; False if it will not.

        Until then a follow-up would take the message's place: that is what Discord does with the first one.
        """
        going = self._rounds.get(job_id)
        return going is None or await asyncio.shield(going.first)

    def has_kept(self, user_id: int) -> bool:
        return user_id in self._kept

    def take_kept(self, user_id: int) -> list[str]:
        """Why results of this person could not be posted, once."""
        return self._kept.pop(user_id, [])

    async def tell_kept(self, interaction: Interaction) -> None:
        """Tell a person, on the next occasion, of results that could not be posted."""
        reasons = self.take_kept(interaction.user.id)
        if reasons and not await send_note(
            interaction, format_undelivered(reasons), job_id=self._find_job(interaction.token)
        ):
            self._kept[interaction.user.id] += reasons

    def _find_job(self, token: str) -> str | None:
        """Return the followed job whose message is made of an interaction's answer; None if there is none."""
        answers = ((job_id, going.reply_to) for job_id, going in self._rounds.items())
        return next((job_id for job_id, reply_to in answers if reply_to and reply_to.token == token), None)

    def _forget(self, job_id: str, task: asyncio.Task[None]) -> None:
        settle(self._rounds[job_id].first, False)
        self._presenter.forget(job_id)
        del self._rounds[job_id], self._tasks[job_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job=%s action=courier-failed", job_id, exc_info=error)

    # One job.

    async def _follow(self, job_id: str) -> None:
        about(job_id)
        going = self._rounds[job_id]
        reply_to = going.reply_to or await _retry_until_it_works(job_id, lambda: self._fetch(job_id))
        if reply_to is None:
            if self._services.generation.is_live(job_id):
                self._unwanted.add(job_id)
            return
        tracing.expect_post(job_id)
        set_language(reply_to.locale)
        while self._services.generation.is_live(job_id):
            try:
                await self._progress.show(job_id, reply_to, going)
            except Exception:  # what may end with progress is the progress, never the job's delivery
                log.exception("job=%s action=progress-failed", job_id)
            await self._until_news(going)
        going.end()
        await _retry_until_it_works(job_id, lambda: self._deliver(job_id, reply_to, going))

    async def _fetch(self, job_id: str) -> ReplyTo | None:
        """None for a job that no one on Discord waits for: from the shell, told already, or erased."""
        try:
            delivery = await self._services.deliveries.fetch(job_id)
        except UnknownJobError:
            return None
        return delivery.reply_to if delivery.state in (DeliveryState.LIVE, DeliveryState.DUE) else None

    async def _until_news(self, going: TrackedJob) -> None:
        """Wait for a change, but leave the message alone for a while; the end of the job interrupts both."""
        pause_s = PAUSES_S[min(going.num_edits, len(PAUSES_S)) - 1]
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await going.ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(PLACE_EVERY_S, len(self._tasks) / PLACES_PER_S)):
                await going.changed.wait()

    async def _deliver(self, job_id: str, reply_to: ReplyTo, going: TrackedJob) -> None:
        """Post the result, or find that it plainly cannot be posted. Raise what may pass."""
        try:
            going.posted = going.posted or await self._post(job_id, reply_to, going)
            await self._conclude(job_id, reply_to, going, going.posted)
        except UnknownJobError:
            return  # erased meanwhile
        except UnreachableError as closed:
            await self._keep(job_id, str(closed))
        except (MessageRefusedError, discord.HTTPException, discord.RateLimited) as error:
            await self._wait_or_keep(
                job_id, going, error if isinstance(error, MessageRefusedError) else MessageRefusedError.of(error)
            )
        except Exception as error:
            await self._mark_tried(job_id, type(error).__name__)
            raise

    async def _wait_or_keep(self, job_id: str, going: TrackedJob, refused: MessageRefusedError) -> None:
        """Raise it again with the pause it takes, or keep the result, for good or until a manager does something."""
        pause_s = refused.wait_s(going.refused[refused.step])
        if pause_s is None:
            await self._keep(job_id, refused.refusal.why)
            if refused.step is Step.MANAGER:
                self._reopening.later(job_id)
            return
        going.refused[refused.step] += 1
        await self._mark_tried(job_id, refused.refusal.why)
        refused.pause_s = pause_s
        raise refused

    async def _mark_tried(self, job_id: str, why: str) -> None:
        with suppress(Exception):  # the storage may be what is failing
            await self._services.deliveries.mark_tried(job_id, why)

    async def _post(self, job_id: str, reply_to: ReplyTo, going: TrackedJob) -> Posted:
        """Have the message show the result, in its turn; where Discord refuses its token, in one of its channel."""
        due = Post(
            going.order,
            job_id,
            guild_id=going.guild_id or (await self._services.jobs.fetch_job(job_id)).owner.guild_id,
            channel_id=reply_to.channel_id,
            is_limited_by_channel=not self._poster.has_token(reply_to),
        )
        try:
            async with self._places.turn(due) as turn:
                posted = await self._presenter.present(job_id, reply_to, turn)
        except TokenRefusedError:
            return await self._post(job_id, reply_to, going)
        reached("posted")
        return posted

    async def _conclude(self, job_id: str, reply_to: ReplyTo, going: TrackedJob, posted: Posted) -> None:
        """Tell those who asked for it, and have it marked as posted. It holds no place: it may have to wait, too."""
        services = self._services
        settle(going.first, True)
        if posted.message_id != reply_to.message_id:
            await services.deliveries.set_message(job_id, channel_id=posted.channel_id, message_id=posted.message_id)
        if await notify_subscribers(self._client, services, job_id, posted, going.told):
            await services.favourites.clear_notifications(job_id)
        if await services.deliveries.mark_posted(job_id, posted.way):
            going.count_delivery(job_id, posted.way)
        self._reopening.forget(job_id)
        reached("marked_delivered")
        log.info("job=%s action=delivered", job_id)

    async def _keep(self, job_id: str, reason: str) -> None:
        """Keep a result that cannot be posted for the history, and tell its owner now if they asked for that, else
        later."""
        job = await self._services.jobs.fetch_job(job_id)
        await self._services.deliveries.mark_kept(job_id, reason)
        self._rounds[job_id].count_delivery(job_id, DeliveryWay.HISTORY)
        is_news = any(image.status is Status.DONE for image in job.images) and not self._reopening.knows(job_id)
        if is_news and not await self._tell_owner(job, reason):
            self._kept[job.owner.user_id].append(reason)
        log.warning("job=%s action=kept reason=%s", job_id, reason)

    async def _reopen(self, job_id: str) -> None:
        if await self._services.deliveries.reopen(job_id):
            self.on_job_changed(job_id)

    async def _tell_owner(self, job: Job, reason: str) -> bool:
        try:
            return await notify_owner(self._client, self._services, job, lambda: format_undelivered([reason]))
        except (*LOST, AtelierError):
            return False


async def _retry_until_it_works(job_id: str, work: Callable[[], Awaitable[T]]) -> T:
    """Try again, with growing pauses, until it works."""
    pauses = double_pauses(RETRY_S, LONGEST_RETRY_S)
    while True:
        try:
            return await work()
        except Exception as error:
            name, pause_s = type(error).__name__, next(pauses)
            if isinstance(error, MessageRefusedError):
                name, pause_s = str(error), max(pause_s, error.pause_s)
            log.warning("job=%s action=delivery-failed error=%s next_try_s=%.0f", job_id, name, pause_s)
        await asyncio.sleep(pause_s)
