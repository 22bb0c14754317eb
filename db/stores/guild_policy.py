"""What those who run a server have decided, and who changed it: settings and rules, read as one policy.

The policy of a guild is asked at every request, so it is kept in memory; only the stores here change what is in it.
Each change reads, writes and records in one transaction: none is made of what another has changed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from async_lru import alru_cache
from sqlalchemy import Text, case, column, delete, func, insert, select, table, type_coerce
from sqlalchemy.orm import Session

from db.column_types import read_stored, say_unreadable, write_json
from db.engine import Database
from db.group_commit import T
from db.models import ContentRuleRow, ImageRow, JobRow
from db.stores.audit_log import Entry, fetch_changes, record
from db.stores.settings import SettingsChange, all_settings, change_settings
from db.stores.styles import replace_styles
from db.stores.withheld import Kept, drop_reviewed, fetch_reviews
from generation.errors import InvalidRequest
from generation.jobs.ports import Clock
from generation.policy.audit import Change
from generation.policy.guild_settings import GuildSettings
from generation.policy.policy import Policy
from generation.requests.style import Style
from generation.rules.rule import UNREADABLE_RULE, Kind, Rule
from generation.rules.rulebook import Match, RuleSet, count_patterns, require_numbers
from generation.rules.screening import Screener
from generation.safety.visibility import Judgement
from generation.translatable import Phrase
from generation.validation import check

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Choices:
    """What every guild that chose anything has chosen, and which of them have rules."""

    settings: Mapping[int, GuildSettings]
    with_rules: Set[int]


class Governance:
    """Settings, rules and their history, of every guild."""

    def __init__(self, database: Database, *, clock: Clock = utc_now, screener: Screener | None = None) -> None:
        self._database = database
        self._clock = clock
        self.screener = screener or Screener()
        self._adding: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()
        self._choices = alru_cache(maxsize=1)(self._read_choices)
        self._policies = alru_cache(maxsize=None)(self._read_policy)

    async def policy(self, guild_id: int) -> Policy:
        """What binds requests in that guild, as of the last change."""
        return await self._policies(guild_id)

    async def _read_policy(self, guild_id: int) -> Policy:
        choices = await self._choices()
        settings = choices.settings.get(guild_id, GuildSettings(guild_id=guild_id))
        if guild_id not in choices.with_rules:
            return Policy(settings=settings)
        rules = await self.fetch_rules(guild_id)
        return Policy(settings=settings, rules=await asyncio.to_thread(lambda: RuleSet.of(_usable(rules))))

    async def _read_choices(self) -> _Choices:
        """Of all guilds at once: after a start hundreds may ask in the same second, and a read each is a queue."""
        return await self._database.read(_choices)

    def forget(self, guild_id: int) -> None:
        """Something about the guild was changed elsewhere: read it again."""
        self._choices.cache_clear()
        self._policies.cache_invalidate(guild_id)

    async def _write(self, guild_id: int, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction. The policy is read again after it, also if it failed or its caller is gone."""
        return await self._database.write(work, then=lambda: self.forget(guild_id))

    async def change_settings(
        self, guild_id: int, change: SettingsChange, entry: Entry, *, styles: Sequence[Style] | None = None
    ) -> tuple[GuildSettings, GuildSettings]:
        """Apply `change`, and replace the styles where `styles` are given. Return the settings before and after.

        Reading, writing and the entry in the trail are one transaction, so two changes at once are both kept. A change
        that changes nothing is not recorded. Raises what `change` raises; nothing is stored then.
        """

        def work(session: Session) -> tuple[GuildSettings, GuildSettings]:
            before, after = change_settings(session, guild_id, change)
            if styles is not None:
                replace_styles(session, guild_id, styles)
            if styles is not None or after != before:
                record(session, guild_id, entry, at=self._clock())
            return before, after

        return await self._write(guild_id, work)

    # Rules.

    async def fetch_rules(self, guild_id: int) -> list[Rule]:
        """Oldest first, with their ids: also those that a later RE2, or a later budget, no longer takes."""
        rows = await self._database.read(lambda session: _texts(session, guild_id))
        return await asyncio.to_thread(_read_rules, rows)  # ten thousand take a while

    async def screen(self, policy: Policy, texts: Iterable[str]) -> tuple[Match, ...]:
        """Return which rules of a policy match, wherever they hold. Raises `RulesNotUsable`, `RulesTooSlow`."""
        return await self.screener.screen(policy.settings.guild_id, policy.rules, texts)

    async def add_rules(
        self, guild_id: int, rules: Sequence[Rule], *, by: int, at: datetime | None = None, replacing: bool = False
    ) -> int:
        """Those that are not there yet; `replacing`: in place of all there are. How many were new. `at`: see `Entry`.

        Raises `InvalidRequest` for more rules than a guild may have, and for what cannot be compiled together.
        """
        texts = {write_json(rule.with_id(0)): rule for rule in rules}

        def work(session: Session) -> int:
            added = _add(session, guild_id, texts, replacing=replacing)
            if added or replacing:
                record(session, guild_id, Entry(by, _said(rules, replacing=replacing), at), at=self._clock())
            return added

        async with self._adding.setdefault(guild_id, asyncio.Lock()):  # what is compiled is what will be there
            there = [] if replacing else await asyncio.to_thread(list, _usable(await self.fetch_rules(guild_id)))
            together = dict.fromkeys([*(rule.with_id(0) for rule in there), *rules])
            await self.screener.require_usable(guild_id, RuleSet.of(together))
            return await self._write(guild_id, work)

    async def remove_rule(self, guild_id: int, rule_id: int, *, by: int, at: datetime | None = None) -> Rule:
        """Raises `InvalidRequest` if the guild has no rule of that number."""

        def work(session: Session) -> Rule:
            removed = _remove(session, guild_id, rule_id)
            said = Phrase("removed the rule “{text}”", text=removed.text)
            record(session, guild_id, Entry(by, said, at), at=self._clock())
            return removed

        return await self._write(guild_id, work)

    async def fetch_recent_prompts(self, guild_id: int, *, limit: int = 500) -> list[tuple[str, str]]:
        """What was asked for last in the guild: prompt and negative prompt, newest first."""
        newest = select(JobRow.request).where(JobRow.guild_id == guild_id).order_by(JobRow.created_at.desc())
        requests = await self._database.read(lambda session: session.scalars(newest.limit(limit)).all())
        return [(request.spec.prompt, request.spec.negative) for request in requests]

    # Pictures that safety kept back.

    async def fetch_reviews(self, guild_id: int) -> list[Kept]:
        """What is kept, blurred, for the guild's moderators, oldest first."""
        return await fetch_reviews(self._database, guild_id)

    async def drop_reviewed(self) -> list[str]:
        """Forget what was kept long enough. The SHA-256 of the files to remove."""
        return await drop_reviewed(self._database, now=await self._database.confirmed_now(self._clock))

    async def fetch_judgements(self, guild_id: int, *, limit: int = 1000) -> list[Judgement]:
        """Return what the safety checker said of pictures of the guild's last `limit` jobs, newest first."""
        jobs = select(JobRow.id).where(JobRow.guild_id == guild_id).order_by(JobRow.created_at.desc()).limit(limit)
        judged = (
            select(ImageRow.judgement)
            .where(ImageRow.job_id.in_(jobs.scalar_subquery()), ImageRow.judgement.is_not(None))
            .order_by(ImageRow.ended_at.desc())
        )
        found = await self._database.read(lambda session: session.scalars(judged.limit(limit)).all())
        return [each for each in found if each is not None]

    # The audit trail.

    async def fetch_changes(self, guild_id: int, *, limit: int = 20) -> list[Change]:
        """Newest first."""
        return await self._database.read(lambda session: fetch_changes(session, guild_id, limit=limit))


def _said(rules: Sequence[Rule], *, replacing: bool) -> Phrase:
    if len(rules) == 1:
        rule = rules[0]
        named = Phrase(
            "“{text}” ({kind}, {action})", text=rule.text, kind=Phrase(rule.kind), action=Phrase(rule.action)
        )
    else:
        named = Phrase("{number} rules", number=len(rules))
    return Phrase("replaced all rules by {named}", named=named) if replacing else Phrase("added {named}", named=named)


def _choices(session: Session) -> _Choices:
    with_rules = session.scalars(select(ContentRuleRow.guild_id).distinct())
    return _Choices({each.guild_id: each for each in all_settings(session)}, frozenset(with_rules))


def _texts(session: Session, guild_id: int) -> list[tuple[int, str]]:
    """The rules as they are written down, with their ids, oldest first."""
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


def _usable(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Those that can be applied. The others stay in the list, where they can be removed."""
    for rule in rules:
        try:
            check(rule)
        except InvalidRequest as wrong:
            log.error("rule=%s action=rule-unusable reason=%s", rule.id, wrong)
        else:
            yield rule


def _add(session: Session, guild_id: int, rules: Mapping[str, Rule], *, replacing: bool) -> int:
    """`rules` by what is written down of them: those that are there are known by it, and need not be read."""
    if replacing:
        session.execute(delete(ContentRuleRow).where(ContentRuleRow.guild_id == guild_id))
    there = {text for _, text in _texts(session, guild_id)}
    new = {text: rule for text, rule in rules.items() if text not in there}
    text = type_coerce(ContentRuleRow.rule, Text)
    is_pattern = case((func.json_valid(text) == 1, func.json_extract(text, "$.kind"))) == Kind.PATTERN.value
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
        raise InvalidRequest(
            what=Phrase("A rule"), problem=Phrase("of number {id} does not exist here. See `/rules list`.", id=rule_id)
        )
    session.execute(delete(ContentRuleRow).where(ContentRuleRow.id == rule_id))
    return _read_rule(text).with_id(rule_id)
