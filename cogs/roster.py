"""Which servers Discord has named to this process, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


class Roster:
    """It speaks of the shards that had their READY here, and says nothing of the others."""

    def __init__(self) -> None:
        self._num_shards = 1
        self._named: dict[int, set[int]] = {}

    def start_shard(self, shard_id: int, num_shards: int, guild_ids: Collection[int]) -> None:
        """Take what the READY of a shard names: every server with the bot, also those that are down."""
        if num_shards != self._num_shards:
            self._num_shards = num_shards
            self._named.clear()
        self._named[shard_id] = set(guild_ids)

    def add(self, guild_id: int) -> None:
        if (named := self._named.get(self.shard_of(guild_id))) is not None:
            named.add(guild_id)

    def remove(self, guild_id: int) -> None:
        self._named.get(self.shard_of(guild_id), set()).discard(guild_id)

    def has(self, guild_id: int) -> bool | None:
        """Return whether its shard names a server; None for a shard without a READY here."""
        named = self._named.get(self.shard_of(guild_id))
        return guild_id in named if named is not None else None

    def get_named(self, shard_id: int) -> frozenset[int]:
        return frozenset(self._named.get(shard_id, ()))

    def find_unnamed(self, shard_id: int, known: Collection[int]) -> list[int]:
        """Return those servers of a shard that it does not name. Empty for a shard without a READY here."""
        return sorted(each for each in known if self.shard_of(each) == shard_id and self.has(each) is False)

    def shard_of(self, guild_id: int) -> int:
        """Source: https://discord.com/developers/docs/events/gateway#sharding-sharding-formula"""
        return (guild_id >> 22) % self._num_shards


def note_ready(parse: Callable[[Any], None], roster: Roster) -> Callable[[Any], None]:
    """Return discord.py's parser of READY so that `roster` hears of it: its cache keeps servers that left meanwhile."""

    def parse_ready(data: Any) -> None:
        parse(data)
        shard_id, num_shards = data.get("shard") or (0, 1)
        roster.start_shard(shard_id, num_shards, [int(guild["id"]) for guild in data["guilds"]])

    return parse_ready
