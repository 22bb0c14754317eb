"""What guilds forbid in prompts. A change is compiled before it is stored, and recorded in the transaction that
stores it."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Text, column, delete, func, insert, select, table, type_coerce
from sqlalchemy.orm import Session

from db.column_types import read_stored, say_unreadable, write_json
from db.engine import Database
from db.models import ContentRuleRow, JobRow
from db.models import table as table_of
from db.sql import JsonText
from db.stores.audit_log import Entry, record
from generation.clock import Clock, utc_now
from generation.errors import InvalidRequestError
from generation.policy.policy import Policy
from generation.requests.drawing import list_prompts
from generation.rules.errors import UnknownRuleError
from generation.rules.rule import UNREADABLE_RULE, Kind, Rule
from generation.rules.rulebook import Match, RuleSet, count_patterns, require_numbers
from generation.rules.screening import Screener
from generation.translatable import Phrase
from generation.validation import check

log = logging.getLogger(__name__)


class ContentRuleStore:
    """The rules of every guild. `on_change` is called with the guild's id after each change, also one that failed."""

    def __init__(
        self,
        database: Database,
        *,
        on_change: Callable[[int], None],
        clock: Clock = utc_now,
        screener: Screener | None = None,
    ) -> None:
        self._database = database
        self._on_change = on_change
        self._clock = clock
        self.screener = screener or Screener()
        self._adding: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()

    async def fetch_rules(self, guild_id: int) -> list[Rule]:
        """Return the guild's rules, oldest first, also those that a later RE2, or a later budget, no longer takes."""
        return await fetch_rules(self._database, guild_id)

    async def screen(self, policy: Policy, texts: Iterable[str]) -> tuple[Match, ...]:
        """Return which rules of a policy match, wherever they hold. Raise `RulesNotUsableError`,
        `RulesTooSlowError`."""
        return await self.screener.screen(policy.settings.guild_id, policy.rules, texts)

    async def add_rules(
        self, guild_id: int, rules: Sequence[Rule], *, by: int, at: datetime | None = None, replacing: bool = False
    ) -> int:
        """Add the rules that are not there yet; with `replacing`, in place of all there are. Return how many were new.

        `at`: see `Entry`. Raise `InvalidRequestError` for more rules than a guild may have, and for what cannot be
        compiled together.
        """
        texts = {write_json(rule.with_id(0)): rule for rule in rules}

        def work(session: Session) -> int:
            added = _add(session, guild_id, texts, replacing=replacing)
            if added or replacing:
                record(session, guild_id, Entry(by, _describe(rules, replacing=replacing), at), at=self._clock())
            return added

        async with self._adding.setdefault(guild_id, asyncio.Lock()):  # what is compiled is what will be there
            there = [] if replacing else await asyncio.to_thread(select_usable, await self.fetch_rules(guild_id))
            together = dict.fromkeys([*(rule.with_id(0) for rule in there), *rules])
            await self.screener.require_usable(guild_id, RuleSet.of(together))
            return await self._database.write(work, then=lambda: self._on_change(guild_id))

    async def remove_rule(self, guild_id: int, rule_id: int, *, by: int, at: datetime | None = None) -> Rule:
        """Remove a rule and return it. Raise `InvalidRequestError` if the guild has no rule of that number."""

        def work(session: Session) -> Rule:
            removed = _remove(session, guild_id, rule_id)
            said = Phrase("removed the rule “{text}”", text=removed.text)
            record(session, guild_id, Entry(by, said, at), at=self._clock())
            return removed

        return await self._database.write(work, then=lambda: self._on_change(guild_id))

    async def fetch_recent_prompts(self, guild_id: int, *, limit: int = 500) -> list[tuple[str, str]]:
        """Return prompt and negative prompt of the guild's last requests, newest first: what a new rule would stop."""
        newest = select(JobRow.request).where(JobRow.guild_id == guild_id).order_by(JobRow.created_at.desc())
        requests = await self._database.read(lambda session: session.scalars(newest.limit(limit)).all())
        return [(" ".join(list_prompts(request)), request.spec.negative) for request in requests]


async def fetch_rules(database: Database, guild_id: int) -> list[Rule]:
    """Return the guild's rules with their ids, oldest first."""
    rows = await database.read(lambda session: _read_texts(session, guild_id))
    return await asyncio.to_thread(_read_rules, rows)  # ten thousand take a while


def select_usable(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that can be applied. The others stay in the list, where they can be removed."""
    return list(_iterate_usable(rules))


def _iterate_usable(rules: Iterable[Rule]) -> Iterator[Rule]:
    for rule in rules:
        try:
            check(rule)
        except InvalidRequestError as wrong:
            log.error("rule=%s action=rule-unusable reason=%s", rule.id, wrong)
        else:
            yield rule


def _describe(rules: Sequence[Rule], *, replacing: bool) -> Phrase:
    if len(rules) == 1:
        rule = rules[0]
        named = Phrase(
            "“{text}” ({kind}, {action})", text=rule.text, kind=Phrase(rule.kind), action=Phrase(rule.action)
        )
    else:
        named = Phrase("{number} rules", number=len(rules))
    return Phrase("replaced all rules by {named}", named=named) if replacing else Phrase("added {named}", named=named)


def _read_texts(session: Session, guild_id: int) -> list[tuple[int, str]]:
    """Return the rules as they are stored, with their ids, oldest first."""
    as_text = type_coerce(ContentRuleRow.rule, Text)
    rows = session.execute(
        select(ContentRuleRow.id, as_text).where(ContentRuleRow.guild_id == guild_id).order_by(ContentRuleRow.id)
    )
    return [(row[0], row[1]) for row in rows]


def _read_rules(rows: Iterable[tuple[int, str]]) -> list[Rule]:
    return [_read_rule(text).with_id(number) for number, text in rows]


def _read_rule(text: str) -> Rule:
    try:
        return read_stored(text, Rule)
    except Exception as error:
        say_unreadable(Rule, error)
        return UNREADABLE_RULE


def _add(session: Session, guild_id: int, rules: Mapping[str, Rule], *, replacing: bool) -> int:
    """Add `rules`, given by their stored text: those that are there are known by it, and need not be read."""
    if replacing:
        session.execute(delete(ContentRuleRow).where(ContentRuleRow.guild_id == guild_id))
    there = {text for _, text in _read_texts(session, guild_id)}
    new = {text: rule for text, rule in rules.items() if text not in there}
    is_pattern = JsonText(table_of(ContentRuleRow).c.rule, "kind") == Kind.PATTERN.value
    patterns = select(func.count()).where(ContentRuleRow.guild_id == guild_id, is_pattern)
    require_numbers(len(there) + len(new), (session.scalar(patterns) or 0) + count_patterns(new.values()))
    if new:
        written = table(ContentRuleRow.__tablename__, column("guild_id"), column("rule"))
        session.execute(insert(written), [{"guild_id": guild_id, "rule": text} for text in new])
    return len(new)


def _remove(session: Session, guild_id: int, rule_id: int) -> Rule:
    text = session.scalar(
        select(type_coerce(ContentRuleRow.rule, Text)).where(
            ContentRuleRow.id == rule_id, ContentRuleRow.guild_id == guild_id
        )
    )
    if text is None:
        raise UnknownRuleError(id=rule_id)
    session.execute(delete(ContentRuleRow).where(ContentRuleRow.id == rule_id))
    return _read_rule(text).with_id(rule_id)
