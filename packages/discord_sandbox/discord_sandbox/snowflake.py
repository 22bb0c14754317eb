"""Discord's ids: a millisecond time in the high 42 bits, so that ids sort by age and tell it.

Source: https://discord.com/developers/docs/reference#snowflakes
"""

from __future__ import annotations

from collections.abc import Callable

DISCORD_EPOCH_MS = 1_420_070_400_000
_TIME_SHIFT = 22
_NUM_SEQUENCE = 1 << 12


class Snowflakes:
    """Makes ids that grow strictly, even when thousands are asked for within one millisecond."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last_ms = 0
        self._sequence = 0

    def make_id(self) -> int:
        """Return a new id, larger than every earlier one."""
        return self._make(max(self._read_clock_ms(), self._last_ms))

    def make_id_apart(self) -> int:
        """Return a new id in a millisecond of its own.

        Shards are chosen by `id >> 22`: guilds made in a burst must still spread over the shards.
        """
        return self._make(max(self._read_clock_ms(), self._last_ms + 1))

    def _read_clock_ms(self) -> int:
        return int(self._now() * 1000) - DISCORD_EPOCH_MS

    def _make(self, ms: int) -> int:
        if ms > self._last_ms:
            self._last_ms, self._sequence = ms, 0
        else:
            self._sequence += 1
            if self._sequence == _NUM_SEQUENCE:
                self._last_ms, self._sequence = ms + 1, 0
        return self._last_ms << _TIME_SHIFT | self._sequence


def get_creation_time(snowflake: int) -> float:
    """Return when an id was made, in seconds since the Unix epoch."""
    return ((snowflake >> _TIME_SHIFT) + DISCORD_EPOCH_MS) / 1000


def compute_shard(guild_id: int | None, num_shards: int) -> int:
    """Return the shard that hears about a guild; direct messages (`None`) always belong to shard 0."""
    return 0 if guild_id is None else (guild_id >> _TIME_SHIFT) % num_shards
