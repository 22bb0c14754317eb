"""Keeps a record of the servers that removed the bot. What they left behind is erased later, so it must not be wrong.

That a server is not named proves nothing: another process may have its shard, or READY may be incomplete while Discord
has trouble. So Discord is asked about each one, and only its answer that the bot is not there counts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from cogs.roster import Roster
from db.admin.removed_guilds import RemovedGuildStore
from generation.retry import retry_write

log = logging.getLogger(__name__)
MAX_ASKED = 500
"""At one READY. The rest is asked about at the next one: Discord bans a bot after 10,000 refusals in ten minutes."""
Ask = Callable[[int], Awaitable[bool | None]]
"""Returns whether Discord says that the bot is in a server; None for no clear answer."""


class Membership:
    """Follows `roster`. `is_over`: whether the client is closed; the next one is told which servers there are."""

    def __init__(self, roster: Roster, store: RemovedGuildStore, *, ask: Ask, is_over: Callable[[], bool]) -> None:
        self._roster, self._store, self._ask, self._is_over = roster, store, ask, is_over

    async def handle_join(self, guild_id: int) -> None:
        self._roster.add(guild_id)
        await retry_write(lambda: self._note(guild_id))

    async def handle_removal(self, guild_id: int) -> None:
        """Discord has said that the bot was removed from a server."""
        self._roster.remove(guild_id)
        await retry_write(lambda: self._note(guild_id))

    async def handle_ready(self, shard_id: int) -> None:
        """Store what changed while the bot was away."""
        await retry_write(lambda: self._note_named(shard_id))
        unnamed = self._roster.find_unnamed(shard_id, await self._store.fetch_present())
        if len(unnamed) > MAX_ASKED:
            log.warning("shard=%s action=many-servers-unnamed number=%s", shard_id, len(unnamed))
        for guild_id in unnamed[:MAX_ASKED]:
            if await self._ask(guild_id) is False:
                log.info("guild=%s action=found-removed", guild_id)
                await retry_write(partial(self._note, guild_id))

    async def _note_named(self, shard_id: int) -> None:
        if not self._is_over():
            await self._store.mark_returned(self._roster.get_named(shard_id))

    async def _note(self, guild_id: int) -> None:
        """Store whether a server has the bot, as it is when storage can take it: it may have changed meanwhile."""
        is_here = self._roster.has(guild_id)
        if is_here is None or self._is_over():
            return
        if is_here:
            await self._store.mark_returned({guild_id})
        else:
            await self._store.mark_removed(guild_id)
