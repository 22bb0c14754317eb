"""A heap of keys by counter, for counters that change often and are read seldom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import TypeVar

T = TypeVar("T")


class CounterHeap:
    """Keys ordered by counter, ties by who was set first.

    A heap that is put in order only when it is read: a counter that rose keeps its old, too early entry, which is
    moved to its place when it surfaces. So the usual change, a charge, costs no more than a dict's.
    """

    __slots__ = ("_entered", "_heap", "_places", "_ticket")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int]] = []
        self._places: dict[int, tuple[float, int, int]] = {}
        self._entered: dict[int, tuple[float, int, int]] = {}
        """The one entry in the heap that stands for a key; others of it are outdated."""
        self._ticket = 0

    def set(self, key: int, counter: float) -> None:
        self._ticket += 1
        place = self._places[key] = (counter, self._ticket, key)
        entered = self._entered.get(key)
        if entered is None or place < entered:
            self._entered[key] = place
            heappush(self._heap, place)
            self._tidy()

    def discard(self, key: int) -> None:
        if self._places.pop(key, None) is not None:
            del self._entered[key]

    def first(self) -> int | None:
        """Return the key with the smallest counter, or None."""
        entry = self._head()
        return None if entry is None else entry[2]

    def in_order(self) -> Iterator[int]:
        """Yield all keys by counter. O(n log n): for the rare cases where the first will not do."""
        return (key for _, _, key in sorted(self._places.values()))

    def run_ahead(self, line_of: Callable[[int], Iterator[T]], charge_for: Callable[[int, T], float]) -> Iterator[T]:
        """Yield what the first key's line gives next, as if the key were charged for it, until all lines are at an end.

        Changes nothing here. O(log n) for each.
        """
        heap, tickets, lines = list(self._places.values()), count(self._ticket + 1), dict[int, Iterator[T]]()
        heapify(heap)
        while heap:
            counter, _, key = heap[0]
            line = lines.get(key) or lines.setdefault(key, line_of(key))
            for item in line:
                yield item
                heapreplace(heap, (counter + charge_for(key, item), next(tickets), key))
                break
            else:
                heappop(heap)

    def smallest(self, *, default: float) -> float:
        """Return the smallest counter, or `default` if there is no key."""
        entry = self._head()
        return default if entry is None else entry[0]

    def _head(self) -> tuple[float, int, int] | None:
        heap = self._heap
        while heap:
            entry = heap[0]
            key = entry[2]
            if self._entered.get(key) is not entry:
                heappop(heap)
            elif (place := self._places[key]) is entry:
                return entry
            else:
                self._entered[key] = place
                heapreplace(heap, place)
        return None

    def _tidy(self) -> None:
        if len(self._heap) > 64 + 4 * len(self._places):
            self._heap = list(self._entered.values())
            heapify(self._heap)
