"""Words that a server does not allow, in every disguise; and rules that nobody should write. Numbers as in
docs/reliability.md.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cogs.common.errors import FileNotFetchedError
from cogs.rules._messages import FOUND_AS, MATCHES_MUCH
from discord_sandbox import ScriptedUser
from generation.errors import BlockedByRuleError, InvalidRequestError, NotUtf8Error
from generation.rules.errors import RulesFileError, TooManyRulesError
from generation.rules.rule import MAX_RULES
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer
from tests.scenarios.bot_harness import until_done

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVASIONS = [
    line.encode().decode("unicode_escape") if "\\u" in line else line
    for line in Path(__file__)
    .resolve()
    .parents[1]
    .joinpath("generation", "rules", "evasions.txt")
    .read_text(encoding="utf-8")
    .splitlines()
]


async def set_rules(harness: Harness, manager: ScriptedUser, *lines: str) -> str:
    """Replace the server's rules by these; what the manager reads."""
    return await answer(harness, await manager.slash("rules import", file="\n".join(lines).encode(), replacing=True))


async def rules_of(harness: Harness) -> list[str]:
    return [rule.text for rule in await harness.bot.services.content_rules.fetch_rules(harness.people.guild.id)]


async def test_15_a_forbidden_word_in_35_spellings(harness: Harness) -> None:
    await answer(harness, await harness.manager().slash("rules add", text="gremlin", reason="No gremlins, please."))
    before = await harness.usage()
    painted = 0
    for spelling in EVASIONS:
        asked = await harness.people.ada.forging.slash("imagine", prompt=spelling, steps=1)
        if asked.ephemeral:
            assert is_said(BlockedByRuleError, await answer(harness, asked), reason="No gremlins, please.")
        else:
            painted += bool((await until_done(harness.discord, asked)).attachments)
    assert len(EVASIONS) == 35
    assert painted <= 2
    assert (await harness.usage()).num_images == before.num_images + painted
    await harness.paints()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"negative": "gremlin"}, id="16 only in the negative prompt"),
        pytest.param({"negative": "dull, gr3ml1n"}, id="16 there in disguise"),
        pytest.param({"prompt": "a grem", "negative": "a lin, gremlin"}, id="16 in part in the prompt"),
    ],
)
async def test_a_forbidden_word_where_it_is_not_looked_for(harness: Harness, options: dict[str, Any]) -> None:
    await answer(harness, await harness.manager().slash("rules add", text="gremlin", reason="No gremlins, please."))
    before = await harness.usage()
    refused = await answer(harness, await harness.people.ada.slash("imagine", **({"prompt": RED} | options)))
    assert is_said(BlockedByRuleError, refused, reason="No gremlins, please.")
    assert await harness.usage() == before
    await harness.paints()


async def test_51_a_pattern_that_would_take_for_ever_elsewhere(harness: Harness) -> None:
    manager = harness.manager()
    await set_rules(harness, manager, "/(a+)+$/")
    began = time.thread_time()
    assert (await harness.paints("a" * 40 + "!" + "a" * 1400 + "!")).attachments
    tested = await answer(harness, await manager.slash("rules test", text="b" + "a" * 90))
    assert is_said(FOUND_AS, tested) and "“aaa" in tested
    assert time.thread_time() - began < 5, "a matcher that goes back would not be done in years"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        pytest.param("a(?=b)", "invalid perl operator", id="52 look-ahead"),
        pytest.param("(?<!a)b", "invalid perl operator", id="52 look-behind"),
        pytest.param("(", "missing )", id="52 a bracket that stays open"),
    ],
)
async def test_a_pattern_that_cannot_be_one(harness: Harness, pattern: str, says: str) -> None:
    manager = harness.manager()
    await set_rules(harness, manager, "goblin")
    assert says in await answer(harness, await manager.slash("rules add", text=pattern, kind="pattern"))
    assert await rules_of(harness) == ["goblin"]
    await harness.paints()


async def test_53_ten_thousand_rules_and_one_more(harness: Harness) -> None:
    manager = harness.manager()
    many = [f"word{number}x" for number in range(MAX_RULES)]
    assert "10,000" in await set_rules(harness, manager, *many)
    await harness.paints("a word 9 x and no more")
    for said in (
        await set_rules(harness, manager, *many, "more"),
        await answer(harness, await manager.slash("rules add", text="more")),
    ):
        assert is_said(TooManyRulesError, said, most=MAX_RULES, number=MAX_RULES + 1)
    assert len(await rules_of(harness)) == MAX_RULES
    await set_rules(harness, manager, "goblin")


async def test_54_a_rule_that_matches_everything(harness: Harness) -> None:
    manager = harness.manager()
    await set_rules(harness, manager, "goblin")
    await harness.paints("a lighthouse")
    said = await answer(harness, await manager.slash("rules add", text="(a+)*$", kind="pattern", action="warn"))
    assert is_said(MATCHES_MUCH, said)
    assert "a lighthouse" in said, "what it would have caught is shown"
    await harness.paints()


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        pytest.param("größe".encode("latin-1"), NotUtf8Error, id="55 Latin-1"),
        pytest.param(b"\xff\xfeg\x00o\x00", NotUtf8Error, id="55 UTF-16"),
        pytest.param(b"", FileNotFetchedError, id="55 empty"),
        pytest.param(b'{"rules": 7', RulesFileError, id="55 half a JSON"),
    ],
)
async def test_a_file_of_rules_that_cannot_be_read(
    harness: Harness, file: bytes, kind: type[InvalidRequestError]
) -> None:
    manager = harness.manager()
    await set_rules(harness, manager, "goblin")
    said = await answer(harness, await manager.slash("rules import", file=file, replacing=True))
    assert is_said(kind, said), said
    assert await rules_of(harness) == ["goblin"], "nothing was taken away"
    await harness.paints()
