"""The rules of a guild are screened in separate processes: their cost stays with that guild."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psutil
import pytest

from generation.errors import RulesNotUsableError, RulesTooSlowError
from generation.rules import screening
from generation.rules.errors import PatternsTooLargeError
from generation.rules.patterns import MAX_INSTRUCTIONS
from generation.rules.rule import MAX_PATTERNS, MAX_RULES, Kind, Rule
from generation.rules.rulebook import Match, Rulebook, RuleSet
from generation.rules.screening import Screener
from generation.rules.screening_processes import Child
from tests.generation.rules.slow_rules import NASTY_TEXT, patterns, slow_rules
from tests.line_counter import steps_of

HOSTILE, OTHER = 1, 2
GOBLIN = RuleSet.of([Rule(text="goblin")])


@pytest.fixture
async def screener() -> AsyncIterator[Screener]:
    made = Screener(patience_s=300)
    yield made
    made.close()


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children() if "generation.rules.process" in each.cmdline()}


async def test_rules_are_found_by_their_position(screener: Screener) -> None:
    rules = RuleSet.of([Rule(text="goblin"), Rule(kind=Kind.PATTERN, text="gr.mlin"), Rule(text="gr*")])
    assert await screener.screen(OTHER, rules, ["a Gremlin", "", "no goblin"]) == (
        Match(0, "goblin"),
        Match(1, "gremlin"),
        Match(2, "gremlin"),
    )
    assert await screener.screen(OTHER, RuleSet.of([]), ["goblin"]) == ()


@pytest.mark.skipif(sys.platform == "win32", reason="there only the clock ends a process")
async def test_slow_screening_is_refused_for_that_guild_alone(screener: Screener) -> None:
    slow = slow_rules()
    await screener.require_usable(HOSTILE, slow)  # it compiles: only a text shows what it costs
    assert await screener.screen(OTHER, GOBLIN, ["a goblin"]) == (Match(0, "goblin"),)
    asked = [asyncio.create_task(screener.screen(HOSTILE, slow, [f"{NASTY_TEXT}{each}"])) for each in range(50)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in told} == {RulesTooSlowError}, "fails closed, and the guild rests after the first"
    assert await screener.screen(OTHER, GOBLIN, ["one goblin more"]) == (Match(0, "goblin"),)


@pytest.mark.skipif(sys.platform == "win32", reason="there only the clock ends a process")
async def test_guilds_that_use_up_their_time_leave_the_others_theirs(screener: Screener) -> None:
    """The others are screened although more hostile guilds ask at once than there are processes; and after their first
    time those ask a process of their own.
    """
    slow = slow_rules()
    hostile = [asyncio.create_task(screener.screen(100 + each, slow, [NASTY_TEXT])) for each in range(4)]
    others = [asyncio.create_task(screener.screen(each, GOBLIN, [f"a goblin {each}"])) for each in range(200, 220)]
    assert await asyncio.gather(*others) == [(Match(0, "goblin"),)] * 20
    assert {type(each) for each in await asyncio.gather(*hostile, return_exceptions=True)} == {RulesTooSlowError}
    screener._rests_until = dict.fromkeys(screener._rests_until, 0.0)
    hostile = [asyncio.create_task(screener.screen(100 + each, slow, [NASTY_TEXT])) for each in range(4)]
    for each in range(20):
        assert await screener.screen(OTHER, GOBLIN, [f"another goblin {each}"]) == (Match(0, "goblin"),)
    assert sum(each.done() for each in hostile) < 4, "no request waited for them"
    await asyncio.gather(*hostile, return_exceptions=True)


async def test_the_loop_is_not_held_up_meanwhile(screener: Screener) -> None:
    """Without a stopwatch: the loop takes thousands of turns while one text is screened."""
    slow = slow_rules()
    screening_one = asyncio.create_task(screener.screen(HOSTILE, slow, [NASTY_TEXT]))
    used_before, turns = time.thread_time(), 0
    while not screening_one.done():
        turns += 1
        await asyncio.sleep(0)
    with pytest.raises(RulesTooSlowError):
        await screening_one
    assert turns > 1000
    assert time.thread_time() - used_before < 60


async def test_a_cancelled_screening_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock only the answer is given up: the guild's next waits for the process, and finds what was found."""
    screener, goes_on = Screener(patience_s=0.01), threading.Event()
    real = Child.screen

    def held_up(child: Child, rules: RuleSet, texts: Sequence[str]) -> tuple[Match, ...]:
        goes_on.wait(60)
        return real(child, rules, texts)

    monkeypatch.setattr(Child, "screen", held_up)
    with pytest.raises(RulesTooSlowError):
        await screener.screen(OTHER, GOBLIN, ["a goblin"])
    assert screener._turn(OTHER).locked()
    goes_on.set()
    async with screener._turn(OTHER):
        assert await screener.screen(OTHER, GOBLIN, ["a goblin"]) == (Match(0, "goblin"),)
    screener.close()


async def test_one_screening_at_a_time_of_each_guild(screener: Screener, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    real = screener._run

    async def counted(*arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await real(*arguments)
        finally:
            running -= 1

    monkeypatch.setattr(screener, "_run", counted)
    await asyncio.gather(*(screener.screen(HOSTILE, GOBLIN, [f"text {each}"]) for each in range(20)))
    assert most == 1


async def test_a_text_is_screened_once(screener: Screener, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await screener.screen(OTHER, GOBLIN, ["a goblin"])
    monkeypatch.setattr(Child, "ask", None)  # asked again it would fail
    assert await screener.screen(OTHER, GOBLIN, ["a goblin"]) == first
    assert await screener.screen(OTHER, RuleSet.of([Rule(text="goblin", reason="other")]), ["a goblin"]) == first
    with pytest.raises(TypeError):
        await screener.screen(OTHER, RuleSet.of([Rule(text="gremlin")]), ["a goblin"])


async def test_a_guild_is_screened_again_after_its_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    screener = Screener(patience_s=300, clock=lambda: now)
    slow = slow_rules()
    for _ in range(2):
        with pytest.raises(RulesTooSlowError):
            await screener.screen(HOSTILE, slow, [NASTY_TEXT])
    assert isinstance(await screener.problem(HOSTILE, slow), RulesTooSlowError)
    now += screening.REST_S
    assert await screener.screen(HOSTILE, GOBLIN, ["a goblin"]) == (Match(0, "goblin"),)
    screener.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_a_process_that_dies_is_replaced(screener: Screener) -> None:
    await screener.screen(OTHER, GOBLIN, ["one"])
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    assert await screener.screen(OTHER, GOBLIN, ["a goblin"]) == (Match(0, "goblin"),)


async def test_no_process_is_left_and_none_is_started_without_rules() -> None:
    screener = Screener()
    await screener.screen(OTHER, RuleSet.of([]), ["text"])
    assert not children()
    await screener.screen(OTHER, GOBLIN, ["text"])
    assert children()
    screener.close()
    assert not children()


# What may be stored.

TOO_LARGE_TOGETHER = [
    pytest.param(patterns(300, lambda each: rf"(?:[ac].{{60}}){{2}}{each}"), id="repeats of any sign"),
    pytest.param(patterns(499, lambda each: rf"[ac].{{{200 + each % 50}}}b|c.{{{150 + each % 40}}}e{each}"), id="p02c"),
    pytest.param(patterns(200, lambda each: rf"[ac]\pL{{5}}{each}"), id="repeats of any letter"),
    pytest.param(patterns(40, lambda each: "[^a-z]" * 20 + r"\pL" * 16 + str(each)), id="written out"),
]


@pytest.mark.parametrize("rules", TOO_LARGE_TOGETHER)
async def test_patterns_that_pass_one_by_one_are_refused_together(screener: Screener, rules: RuleSet) -> None:
    for rule in rules.rules[:3]:
        Rule(kind=rule.kind, text=rule.text)  # each may be a rule
    with pytest.raises(PatternsTooLargeError, match=str(MAX_INSTRUCTIONS)):
        await screener.require_usable(HOSTILE, rules)


async def test_patterns_as_managers_write_them_are_taken(screener: Screener) -> None:
    words = patterns(MAX_PATTERNS, lambda each: rf"\bgr[e3]ml(in|et){each}s?\b")
    gaps = patterns(300, lambda each: rf"\bred{each}.{{0,20}}gremlin")
    await screener.require_usable(OTHER, words)
    await screener.require_usable(OTHER, gaps)
    assert await screener.screen(OTHER, gaps, ["a red7 and green gremlin"]) == (Match(7, "red7 and green gremlin"),)


async def test_rules_that_cannot_be_compiled_fail_closed(screener: Screener) -> None:
    """As older data may be: every text is refused, and its managers are told why."""
    broken = RuleSet.of([Rule(text="goblin"), Rule.unchecked(kind=Kind.PATTERN, text="a(?=b)")])
    for text in ("a goblin", "a lighthouse"):
        with pytest.raises(RulesNotUsableError):
            await screener.screen(HOSTILE, broken, [text])
    assert "invalid perl operator" in str(await screener.problem(HOSTILE, broken))
    assert await screener.screen(OTHER, GOBLIN, ["a goblin"]) == (Match(0, "goblin"),)
    assert await screener.problem(OTHER, GOBLIN) is None


# Words: none may cost more than it should, however chosen. In steps of the interpreter, not by a stopwatch.


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param("a a b{}", "a " * 750, id="phrases with one beginning"),
        pytest.param("a a b{}*", "a " * 750, id="open phrases with one beginning"),
        pytest.param("s{}*", "s" * 1500, id="stems of one long word"),
        pytest.param("x{}", "a" + "\u0301" * 1499, id="combining marks"),
        pytest.param("x{}", "\ufdfa" * 1500, id="one sign for many"),
    ],
)
def test_ten_thousand_words_cost_as_much_as_ten(rule: str, text: str) -> None:
    few = Rulebook(Rule(text=rule.format(each)) for each in range(10))
    many = Rulebook(Rule(text=rule.format(each)) for each in range(MAX_RULES))
    for book in (few, many):
        book.matches([text])  # tables of characters are filled
    assert steps_of(lambda: many.matches([text])) < 1.5 * steps_of(lambda: few.matches([text])) + 1000
