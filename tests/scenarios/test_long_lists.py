"""Lists and texts that one message does not hold, over the wire: pages that can be turned, files, several messages."""

from __future__ import annotations

import pytest

from cogs.common.errors import NotAManagerError
from cogs.common.message_limits import IN_A_FILE, PAGE_OF
from cogs.error_handler import STRAY_BUTTON
from cogs.quota._messages import format_set
from cogs.results._messages import DONE
from cogs.rules._messages import BLOCKS_WORD
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.policy.quota import Quota, Scope, Unit
from generation.rules.rule import Action, Rule
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


async def test_all_pages_of_a_list_together_hold_all_of_it(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    roles = [people.guild.add_role(f"tier {number}") for number in range(150)]
    for number, role in enumerate(roles):
        quota = Quota(scope=Scope.ROLE, subject_id=role.id, unit=Unit.IMAGES, limit=number)
        await bot.services.quotas.set_quota(people.guild.id, quota)
    message = await told(discord, await manager.slash("quota show"))
    texts = [message.text]
    while "Next" in [button["label"] for button in message.buttons]:
        number = len(texts) + 1
        await manager.click(message, "Next")
        await discord.wait_for(lambda number=number: is_said(PAGE_OF, message.text, number=number))
        texts.append(message.text)
    assert len(texts) > 1
    for role in roles:
        assert sum(f"<@&{role.id}>" in text for text in texts) == 1
    last = await told(discord, await manager.slash("quota set", limit=5, role=roles[0]))
    quota = Quota(scope=Scope.ROLE, subject_id=roles[0].id, unit=Unit.IMAGES, limit=5)
    assert format_set(quota, people.guild.id) in last.text
    assert is_said(PAGE_OF, last.text, number=1)


async def test_a_list_that_has_become_shorter_shows_its_last_page(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    rules = [Rule(text=f"phrase number {number}", reason="why " * 40) for number in range(100)]
    await bot.services.content_rules.add_rules(people.guild.id, rules, by=manager.user.id)
    message = await told(discord, await manager.slash("rules list"))
    assert "phrase number 99" in message.text
    await manager.click(message, "Last")
    await discord.wait_for(lambda: is_said(BLOCKS_WORD, message.text, text="phrase number 0"))
    for rule in (await bot.services.content_rules.fetch_rules(people.guild.id))[:-2]:
        await bot.services.content_rules.remove_rule(people.guild.id, rule.id, by=manager.user.id)
    await manager.click(message, "Previous")
    await discord.wait_for(lambda: not is_said(PAGE_OF, message.text))
    assert "phrase number 99" in message.text
    assert not message.buttons


async def test_a_page_is_only_for_who_may_still_read_the_list(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    rules = [Rule(text=f"phrase number {number}", reason="why " * 40) for number in range(100)]
    await bot.services.content_rules.add_rules(people.guild.id, rules, by=manager.user.id)
    message = await told(discord, await manager.slash("rules list"))
    before = message.text
    member = people.guild.members[manager.user.id]
    member.remove_role(member.roles[-1])
    refused = await manager.click(message, "Next")
    await discord.wait_for(lambda: refused.followups)
    assert is_said(NotAManagerError, refused.followups[0].text)
    assert message.text == before


@pytest.mark.parametrize("forged", ["rules:1", "servers:0", "used:7:0", "nothing:0", "rules", ":", "quotas:999999999"])
async def test_a_forged_page_shows_nothing_and_changes_nothing(
    discord: Sandbox, people: People, bot: LivingBot, forged: str
) -> None:
    public = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    before = public.text
    pressed = await people.ada.forging.click(public, f"atelier:page:{forged}")
    assert is_said(STRAY_BUTTON, (await told(discord, pressed)).text)
    assert public.text == before


async def test_however_many_want_to_be_told_all_are(discord: Sandbox, people: People, bot: LivingBot) -> None:
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    job_id = job_id_in(await until_shown(discord, asked))
    members = [10**18 + number for number in range(205)]
    for member in members:
        await bot.services.favourites.request_notification(job_id, member)
    bot.go_on_painting()
    await until_done(discord, asked)
    await discord.wait_for(lambda: len([each for each in people.general.messages if is_said(DONE, each.text)]) == 3)
    texts = "\n".join(each.text for each in people.general.messages)
    assert [texts.count(f"<@{member}>") for member in members] == [1] * len(members)


async def test_warnings_too_long_for_a_message_come_with_a_file(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    reasons = [f"Reason {number}: please think of who else reads this. " + "*" * 120 for number in range(20)]
    rules = [Rule(text=f"word{n}", action=Action.WARN, reason=reason) for n, reason in enumerate(reasons)]
    await bot.services.content_rules.add_rules(people.guild.id, rules, by=manager.user.id)
    asked = await people.bo.slash("imagine", prompt=" ".join(f"word{n}" for n in range(20)), steps=1)
    await until_done(discord, asked)
    await discord.wait_for(lambda: asked.followups)
    assert [file.filename for file in asked.followups[0].attachments] == ["text.txt"]
    assert is_said(IN_A_FILE, asked.followups[0].text, name="`text.txt`")
