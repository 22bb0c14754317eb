"""Content rules as people meet them: made by a manager, met by a member, over the wire."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from cogs.common.submission_notes import WARNING
from cogs.rules._messages import (
    BLOCKS_PATTERN,
    BLOCKS_WORD,
    CAUGHT,
    FOUND_AS,
    MATCHES_MUCH,
    NO_MATCH,
    NONE,
    NOT_IN_FORCE,
    format_imported,
)
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.errors import BlockedByRuleError, NotUtf8Error, RulesTooSlowError
from generation.models.catalog import Catalog
from generation.requests.prompt_addons import PromptAddon
from generation.rules.rule import Rule
from tests.generation.rules.slow_rules import NASTY_TEXT, slow_rules
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

RED = "a red circle on a blue background"


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    """What only the person sees, in the answer itself or beside it."""
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


async def test_a_rule_is_made_met_in_disguise_and_taken_away(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await until_done(discord, await people.ada.slash("imagine", prompt="a gremlin in the rain", steps=2))
    said = await told(discord, await manager.slash("rules add", text="gremlin", reason="No gremlins, please."))
    assert is_said(BLOCKS_WORD, said.text, text="gremlin")
    assert "**1**" in said.text
    assert is_said(CAUGHT, said.text, text="gremlin", prompt="a gremlin in the rain")

    for options in ({"prompt": "a gr3ml1n"}, {"prompt": RED, "negative": "grеmlіn"}):
        refused = await told(discord, await people.ada.slash("imagine", **options))
        assert is_said(BlockedByRuleError, refused.text, reason="No gremlins, please.")
    tested = (await told(discord, await manager.slash("rules test", text="G R E M L I N"))).text
    assert is_said(FOUND_AS, tested, text="gremlin")
    assert is_said(NO_MATCH, (await told(discord, await manager.slash("rules test", text="gremlins"))).text)

    number = (await bot.services.content_rules.fetch_rules(people.guild.id))[0].id
    assert is_said(NONE, (await told(discord, await manager.slash("rules remove", number=number))).text)
    message = await until_done(discord, await people.ada.slash("imagine", prompt="a gremlin", steps=2))
    assert message.attachments
    changes = await bot.services.audit_log.fetch_changes(people.guild.id)
    assert [change.text for change in changes] == ["removed the rule “gremlin”", "added “gremlin” (word, block)"]
    assert {change.user_id for change in changes} == {manager.user.id}


async def test_a_button_older_than_the_rule_is_refused_too(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt="a goblin", steps=2))
    await told(discord, await manager.slash("rules add", text="goblin"))
    assert is_said(BlockedByRuleError, (await told(discord, await people.bo.click(message, "Reroll"))).text)


async def test_warning_scope_and_patterns(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    other = people.guild.add_channel("other")
    await told(discord, await manager.slash("rules add", text="dragon", action="warn", reason="Dragons are dear."))
    await told(discord, await manager.slash("rules add", text=r"wy?vern\b", kind="pattern", channel=people.general))
    warned = await people.ada.slash("imagine", prompt="a dragon", steps=2)
    assert (await until_done(discord, warned)).attachments
    await discord.wait_for(lambda: warned.followups)
    assert is_said(WARNING, warned.followups[0].content, reasons="Dragons are dear\\.")
    refused = await told(discord, await people.ada.slash("imagine", prompt="a wyvern"))
    assert is_said(BlockedByRuleError, refused.text)
    elsewhere = discord.act_as(people.guild.members[people.ada.user.id], other)
    assert (await until_done(discord, await elsewhere.slash("imagine", prompt="a wyvern", steps=2))).attachments

    for text, why in (("a(?=b)", "invalid perl operator"), ("(", "missing )")):
        said = (await told(discord, await manager.slash("rules add", text=text, kind="pattern"))).text
        assert why in said
    everything = await told(discord, await manager.slash("rules add", text="(a+)*$", kind="pattern"))
    assert is_said(MATCHES_MUCH, everything.text)


async def test_files(discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser) -> None:
    said = await told(discord, await manager.slash("rules import", file="größe".encode("latin-1")))
    assert is_said(NotUtf8Error, said.text, byte=2)
    said = await told(discord, await manager.slash("rules import", file=b"goblin\n/trol+/\ngoblin\n"))
    assert format_imported(2, 2) in said.text
    exported = (await told(discord, await manager.slash("rules export"))).attachments[0].data
    await told(discord, await manager.slash("rules import", file=b"other", replacing=True))
    assert [rule.text for rule in await bot.services.content_rules.fetch_rules(people.guild.id)] == ["other"]
    assert format_imported(2, 2) in (await told(discord, await manager.slash("rules import", file=exported))).text
    listed = (await told(discord, await manager.slash("rules list"))).text
    assert is_said(BLOCKS_WORD, listed, text="other")
    assert is_said(BLOCKS_PATTERN, listed, text="trol\\+")


async def test_slow_rules_refuse_in_their_own_server_alone(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    other = discord.add_guild("Hills")
    far = discord.act_as(other.add_member("fay"), other.add_channel("general"))
    await bot.services.content_rules.add_rules(people.guild.id, slow_rules().rules, by=1)
    await bot.services.content_rules.add_rules(other.id, [Rule(text="gremlin")], by=1)
    for each in range(6):
        refused = await told(discord, await people.ada.slash("imagine", prompt=f"{NASTY_TEXT} {each}"))
        assert is_said(RulesTooSlowError, refused.text)
    assert is_said(RulesTooSlowError, (await told(discord, await manager.slash("rules list"))).text)
    assert (await until_done(discord, await far.slash("imagine", prompt=RED, steps=2))).attachments
    refused = await told(discord, await far.slash("imagine", prompt="a gremlin"))
    assert is_said(BlockedByRuleError, refused.text)


async def test_a_rule_that_no_longer_compiles_is_left_out_alone_listed_and_removed(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    """As an older release may have stored them."""
    stored = '{"kind": "pattern", "text": "wyvern(?=s)"}'
    await bot.database.write(
        lambda session: session.execute(
            sql("INSERT INTO content_rules (guild_id, rule) VALUES (:guild, :rule)"),
            {"guild": people.guild.id, "rule": stored},
        )
    )
    bot.services.guild_policy.forget(people.guild.id)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments
    assert is_said(NOT_IN_FORCE, (await told(discord, await manager.slash("rules list"))).text)
    number = (await bot.services.content_rules.fetch_rules(people.guild.id))[0].id
    assert is_said(NONE, (await told(discord, await manager.slash("rules remove", number=number))).text)


async def test_the_name_of_a_style_passes_the_rules(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await told(discord, await manager.slash("style add", name="GremlinInk", prompt="{prompt}, in ink"))
    await told(discord, await manager.slash("rules add", text="gremlin", reason="No gremlins."))
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED, style="GremlinInk"))
    assert is_said(BlockedByRuleError, refused.text, reason="No gremlins.")
    for name, prompt in (("gr3ml1n", "{prompt}, in ink"), ("ink", "{prompt}, a gremlin")):
        said = (await told(discord, await manager.slash("style add", name=name, prompt=prompt))).text
        assert is_said(BlockedByRuleError, said, reason="No gremlins.")
    assert [style.name for style in await bot.services.styles.fetch_all(people.guild.id)] == ["GremlinInk"]


@pytest.mark.parametrize("prompt", ["a tree <lora:GremlinInk:0.5>", "a tree by inkgremlin2", "a tree by ink_gremlin"])
async def test_names_of_lora_and_learned_words_pass_the_rules(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser, tmp_path: Path, prompt: str
) -> None:
    def extra(name: str) -> PromptAddon:
        return PromptAddon(name=name, path=tmp_path / "x.safetensors", sha256="a" * 64)

    catalog = bot.generation.catalog
    learned = (extra("InkGremlin2"), extra("ink_gremlin"))
    bot.generation.catalog = Catalog((replace(catalog.default, loras=(extra("GremlinInk"),), embeddings=learned),))
    await told(discord, await manager.slash("rules add", text="gremlin", reason="No gremlins."))
    for options in ({"prompt": prompt}, {"prompt": RED, "negative": prompt}):
        if "lora" not in options.get("negative", ""):
            refused = await told(discord, await people.ada.slash("imagine", **options))
            assert is_said(BlockedByRuleError, refused.text, reason="No gremlins.")
