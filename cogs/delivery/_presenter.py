"""Makes a job's message show its result: as it is, else in the variant of it that Discord takes."""

from __future__ import annotations

from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.posting_turns import Turn
from cogs.common.refused_messages import MessageRefusedError
from cogs.context import BaseBot
from cogs.delivery._poster import MessagePoster, Posted
from cogs.delivery._visibility import recheck_visibility
from cogs.results import MessageVariant, build_result_message
from cogs.services import Services
from generation.jobs.job import Job, ReplyTo
from generation.owner import is_server


class ResultPresenter:
    """One for each client. `present` may be called again after any error: it goes on where it was."""

    def __init__(self, client: BaseBot, services: Services, poster: MessagePoster) -> None:
        self._client, self._services, self._poster = client, services, poster
        self._variants: dict[str, MessageVariant] = {}

    def limit(self, job_id: str, size_limit: int) -> None:
        """Say how large a file may be, in bytes, where a job was asked for."""
        self._variants[job_id] = MessageVariant(size_limit)

    def forget(self, job_id: str) -> None:
        self._variants.pop(job_id, None)

    async def present(self, job_id: str, reply_to: ReplyTo, turn: Turn) -> Posted:
        """Return where the result stands. Raise `Unreachable` if it cannot be posted, and what may pass."""
        job = await self._services.jobs.fetch_job(job_id)
        job, place = await recheck_visibility(self._client, self._services, job, reply_to)
        variant = self._first(job, reply_to)
        while True:
            turn.rest()
            say = await build_result_message(job, self._services, variant=variant, place=place)
            turn.touch()
            try:
                return await self._poster.post(job_id, reply_to, say)
            except MessageRefusedError as refused:
                variant = self._variants[job_id] = variant.after(refused, say)

    def _first(self, job: Job, reply_to: ReplyTo) -> MessageVariant:
        """Return the variant to begin with. A member's own larger limit counts only while the token does."""
        variant = self._variants.get(job.id, MessageVariant())
        if self._poster.has_token(reply_to):
            return variant
        guild = self._client.get_guild(job.owner.guild_id) if is_server(job.owner.guild_id) else None
        return variant.within(guild.filesize_limit if guild is not None else DEFAULT_SIZE_LIMIT)
