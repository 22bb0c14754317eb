"""Shows the progress of jobs in their messages, within the rate limits that results need too."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from cogs.common.messages import MessageSpec
from cogs.common.posting_turns import PostingTurns
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.delivery._notify import note_long_wait
from cogs.delivery._poster import MessagePoster, Posted, TokenRefusedError
from cogs.delivery._tracked_job import TrackedJob, settle
from cogs.error_handler import LOST
from cogs.results import build_progress
from cogs.services import Services
from generation.jobs.job import ReplyTo
from generation.jobs.protocol import LoadedModelInfo
from generation.scheduling.active_jobs import JobView
from generation.scheduling.delivery_turns import DeliveryTurns, Post

log = logging.getLogger(__name__)


class ProgressMessages:
    """See the module's text. `places` are the turns that results are posted in: they come first."""

    def __init__(self, services: Services, poster: MessagePoster, places: PostingTurns) -> None:
        self._services, self._poster, self._places = services, poster, places
        self._edits = PostingTurns(DeliveryTurns.unlimited())
        self._shared_edits: set[int] = set()
        """Channels in which progress is being shown within the channel's rate limit, which results need too."""

    async def show(self, job_id: str, reply_to: ReplyTo, going: TrackedJob) -> None:
        """Best effort: a progress message that fails is not worth a second try."""
        going.changed.clear()
        view = self._services.generation.view(job_id)
        if view is not None and not going.is_owner_noted:
            going.is_owner_noted = await note_long_wait(self._services, view)
        if view is None or going.is_message_gone:
            return
        generation, going.guild_id = self._services.generation, view.job.owner.guild_id
        policy = await self._services.guild_policy.fetch(going.guild_id)
        say = build_progress(
            view,
            is_ready=generation.is_ready,
            is_paused=generation.is_paused,
            is_loading=is_loading(view, generation.loaded_models),
            is_spoiler=policy.is_behind_spoiler(view.job.request),
        )
        if say == going.shown:
            return
        try:
            with self._edit_of(reply_to) as may_edit:
                if not may_edit:
                    return
                going.is_message_gone = await self._edit(reply_to, say, going) is None
            settle(going.first, not going.is_message_gone)
        except TokenRefusedError:
            going.changed.set()  # to be shown by the next rung, within that one's limits
            return
        except UnreachableError:
            going.is_message_gone = True
        except (MessageRefusedError, *LOST) as error:
            log.info("job=%s action=progress-not-shown error=%s", job_id, type(error).__name__)
        going.shown, going.num_edits = say, going.num_edits + 1

    async def _edit(self, reply_to: ReplyTo, say: MessageSpec, going: TrackedJob) -> Posted | None:
        """Show progress. When the job ends meanwhile, an edit of which nothing is heard is given up for the result."""
        post = Post(going.order, "progress", 0, reply_to.channel_id, is_limited_by_channel=False)
        async with self._edits.turn(post) as going.edit:
            try:
                return await self._poster.edit(reply_to, say)
            finally:
                going.edit = None

    @contextmanager
    def _edit_of(self, reply_to: ReplyTo) -> Iterator[bool]:
        """Return whether progress may be shown now. Where it uses up a channel's rate limit: one at a time, after
        results."""
        channel_id = reply_to.channel_id
        if self._poster.has_token(reply_to):
            yield True
        elif channel_id in self._shared_edits or not self._places.is_idle(channel_id):
            yield False
        else:
            self._shared_edits.add(channel_id)
            try:
                yield True
            finally:
                self._shared_edits.remove(channel_id)


def is_loading(view: JobView, loaded: Collection[LoadedModelInfo]) -> bool:
    """Return whether nothing of a job is painted yet and its model is not among those in the workers' memory.

    Not told of workers that do not say what is in their memory, and of enlargements, which need no model's weights.
    """
    spec = view.job.request.spec
    return (
        view.progress == 0 and spec.upscale is None and bool(loaded) and all(each.name != spec.model for each in loaded)
    )
