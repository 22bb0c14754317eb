"""Screens texts by each guild's own rules, off the event loop, in processes with a time limit.

What one guild's rules can cost stays with that guild: it has one screening under way at a time, each has a limit of
processor time, a process that meets it is ended and replaced, and the guild rests a while before its next. It fails
closed: nothing is accepted there that was not screened.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from generation.errors import InvalidRequestError, RulesNotUsableError, RulesTooSlowError, unpack_error
from generation.rules.process import FileRead, LookBack, Matched, NotUsable, ReadFile
from generation.rules.rule import Rule
from generation.rules.rulebook import Match, RuleSet
from generation.rules.screening_processes import BUILD_CPU_S, Child, Lane, StoppedError
from generation.rules.transfer import read_exported

log = logging.getLogger(__name__)
K = TypeVar("K")
T = TypeVar("T")
PROCESSES = 2
"""For what members ask. One more is for guilds that met the limit before, one for what managers do with rules."""
PATIENCE_S = 2.2
"""By the clock, for a waiting user: Discord takes an answer for 3 s. A start on a busy machine may take that long."""
REST_S = 10.0
"""How long a guild is not screened after one of its screenings met the limit."""
_KNOWN = 2000
"""Screenings remembered, so that a request is screened once, however often it is checked on its way."""


class Screener:
    """All screening of one bot. What it remembers of texts are their hashes, and the pieces that rules found."""

    def __init__(
        self,
        *,
        processes: int = PROCESSES,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members, self._slow, self._managers = Lane(processes), Lane(1), Lane(1)
        self._clock, self._patience_s = clock, patience_s
        self._turns: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()
        self._known: OrderedDict[tuple[str, str], tuple[Match, ...]] = OrderedDict()
        self._not_usable: OrderedDict[str, InvalidRequestError] = OrderedDict()
        self._rests_until: dict[int, float] = {}
        self._finalizer = weakref.finalize(self, _end_all, (self._members, self._slow, self._managers))

    def close(self) -> None:
        """End the processes. Also done when the screener is collected and when the program ends."""
        self._finalizer()

    async def screen(self, guild_id: int, rules: RuleSet, texts: Iterable[str]) -> tuple[Match, ...]:
        """Return which of the guild's rules match, wherever they hold.

        Raise `RulesNotUsableError` where they cannot be compiled, `RulesTooSlowError` where they take too long.
        """
        said = list(dict.fromkeys(filter(None, texts)))
        if not rules.rules or not said:
            return ()
        if (known := self._known.get((rules.key, _digest(said)))) is not None:
            return known
        work = asyncio.create_task(self._screen_in_turn(guild_id, rules, said), name="screening")
        work.add_done_callback(_look_at)
        try:  # who waits may give up; the turn lasts until the process is free, and what it found is kept
            return await asyncio.wait_for(asyncio.shield(work), self._patience_s)
        except TimeoutError:
            raise RulesTooSlowError(rest_s=round(REST_S)) from None

    async def _screen_in_turn(self, guild_id: int, rules: RuleSet, texts: Sequence[str]) -> tuple[Match, ...]:
        key = (rules.key, _digest(texts))
        async with self._turn(guild_id):
            if (known := self._known.get(key)) is None:
                known = await self._screen(guild_id, rules, texts)
                _remember(self._known, key, known)
            return known

    async def _screen(self, guild_id: int, rules: RuleSet, texts: Sequence[str]) -> tuple[Match, ...]:
        if rules.key in self._not_usable:
            raise RulesNotUsableError
        lane = self._slow if guild_id in self._rests_until else self._members
        try:
            return await self._run(guild_id, lane, lambda child: child.screen(rules, texts))
        except InvalidRequestError as error:
            log.warning("guild=%s action=rules-not-usable why=%s", guild_id, error)
            _remember(self._not_usable, rules.key, error)
            raise RulesNotUsableError from None

    async def require_usable(self, guild_id: int, rules: RuleSet) -> None:
        """Compile the rules before they are stored. Raise `InvalidRequestError` with the reason, or
        `RulesTooSlowError`."""
        async with self._turn(guild_id):
            if rules.rules:
                await self._run(guild_id, self._managers, lambda child: child.build(rules))

    async def problem(self, guild_id: int, rules: RuleSet) -> InvalidRequestError | RulesTooSlowError | None:
        """Return why the guild's rules cannot be used now, for its managers to read."""
        try:
            if rules.key not in self._not_usable:
                await self.require_usable(guild_id, rules)
        except (InvalidRequestError, RulesTooSlowError) as error:
            return error
        return self._not_usable.get(rules.key)

    async def look_back(self, guild_id: int, rule: Rule, prompts: Sequence[tuple[str, ...]]) -> list[Match]:
        """Return which prompts a rule matches, by their index. Raise `RulesTooSlowError`."""
        request = LookBack((rule.kind.value, rule.text), [list(texts) for texts in prompts])
        async with self._turn(guild_id):
            answer = await self._run(guild_id, self._managers, lambda child: child.ask(request, cpu_s=BUILD_CPU_S))
        return answer.matches if isinstance(answer, Matched) else []

    async def read_file(self, guild_id: int, data: bytes) -> list[Rule]:
        """Return the rules of a file. Raise `InvalidRequestError` that says what is wrong, and where."""
        async with self._turn(guild_id):
            answer = await self._run(
                guild_id, self._managers, lambda child: child.ask(ReadFile(data), cpu_s=BUILD_CPU_S)
            )
        if isinstance(answer, NotUsable):
            raise unpack_error(answer.error)
        assert isinstance(answer, FileRead)
        return await asyncio.to_thread(read_exported, answer.data)

    def _turn(self, guild_id: int) -> asyncio.Lock:
        """Take each guild's requests one at a time, in order: all guilds share the processes."""
        return self._turns.setdefault(guild_id, asyncio.Lock())

    async def _run(self, guild_id: int, lane: Lane, work: Callable[[Child], T]) -> T:
        if self._clock() < self._rests_until.get(guild_id, 0):
            raise RulesTooSlowError(rest_s=round(REST_S))
        try:
            return await asyncio.wrap_future(lane.submit(work))
        except StoppedError:
            log.warning("guild=%s action=screening-stopped rest_s=%s", guild_id, REST_S)
            self._rests_until[guild_id] = self._clock() + REST_S
            raise RulesTooSlowError(rest_s=round(REST_S)) from None


def _end_all(lanes: Iterable[Lane]) -> None:
    for lane in lanes:
        lane.end()


def _look_at(work: asyncio.Task[tuple[Match, ...]]) -> None:
    """Retrieve a result whose waiter may be gone, so that its error is not reported as lost."""
    if not work.cancelled():
        work.exception()


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(texts)).hexdigest()


def _remember(known: OrderedDict[K, T], key: K, value: T) -> None:
    known[key] = value
    if len(known) > _KNOWN:
        known.popitem(last=False)
