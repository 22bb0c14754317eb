"""Counters of service, for one level of fair stepping: guilds, or the members of guilds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class FairCounters:
    """Service over weight of everyone with images resident, by key. Smallest is next, ties by who waited longest.

    A key is a path: `(guild,)` or `(guild, member)`. Those with the same beginning are rivals, and only they are
    ever compared.
    """

    def __init__(self) -> None:
        self._counters: dict[tuple[int, ...], float] = {}
        self._last_turn: dict[tuple[int, ...], int] = {}
        self._num_images: dict[tuple[int, ...], int] = {}
        self._last_seat: dict[tuple[int, ...], float] = {}
        """By rivals: the counter, before its charge, of the one that got the last seat."""

    def enter(self, key: tuple[int, ...]) -> None:
        """Add an image of `key`. A key that had none is lifted to the lowest of the rivals, and wins ties."""
        if key not in self._num_images:
            floor = min((self._counters[each] for each in self._list_rivals(key)), default=0.0)
            self._counters[key] = max(self._counters.get(key, 0.0), floor)
            self._last_turn.pop(key, None)
        self._num_images[key] = self._num_images.get(key, 0) + 1

    def leave(self, key: tuple[int, ...]) -> None:
        """Remove an image. With the last rival gone all start level again."""
        self._num_images[key] -= 1
        if self._num_images[key]:
            return
        del self._num_images[key]
        if not any(self._list_rivals(key)):
            for gone in [each for each in self._counters if each[:-1] == key[:-1]]:
                del self._counters[gone]
                self._last_turn.pop(gone, None)
            self._last_seat.pop(key[:-1], None)

    def place(self, key: tuple[int, ...]) -> tuple[float, int]:
        """Return the sort key to compare rivals by."""
        return self._counters[key], self._last_turn.get(key, -1)

    def charge(self, key: tuple[int, ...], normalised: float, *, turn: int) -> None:
        """Charge `key` for a seat in the forward `turn`, worth `normalised` (charge over weight)."""
        self._last_seat[key[:-1]] = self._counters[key]
        self._counters[key] += normalised
        self._last_turn[key] = turn

    def level(
        self, content: Iterable[tuple[int, ...]], left_out: Collection[tuple[int, ...]], *, credit: float
    ) -> None:
        """Lift the counters of `content`, who got a seat for every image.

        They keep at most `credit` of what they did not use. They are lifted to where the last seat went, but not above
        those who were left out.
        """
        for key in content:
            levels = [self._counters[each] for each in left_out if each[:-1] == key[:-1]]
            level = min([self._last_seat[key[:-1]], *levels])
            self._counters[key] = max(self._counters[key], level - credit)

    def _list_rivals(self, key: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
        return [each for each in self._num_images if each[:-1] == key[:-1]]
