"""A request is checked once, and again only where something it was checked against has changed meanwhile."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cogs.common import attachments
from db.stores.audit_log import Entry
from discord_sandbox import Interaction, Permission, Sandbox, Upload
from generation.errors import QueueFullError
from generation.owner import Owner
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.policy import Policy
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.rules.rule import Action, Rule
from tests.scenarios.bot_harness import LivingBot, People, button_of, judged, until_done
from tests.scenarios.test_work_before_the_gate import picture, pictures_of, told
from tests.tally import Tally
from tools.count_calls import REQUESTS, CallCounter, count, counting

RED = "a red circle on a blue background"
MOST_CALLS = {"/imagine": 120, "Reroll": 160, "/img2img": 170}
Change = Callable[[People, LivingBot], Awaitable[None]]


@pytest.fixture
async def counted(
    tmp_path: Path, blank_database: Path, tally: Tally
) -> AsyncIterator[tuple[People, LivingBot, CallCounter]]:
    """A bot whose threads are all counted: the counter is there before they are."""
    with counting() as counter:
        async with judged(tally) as discord:
            people, bot = People.settle(discord), LivingBot(discord, tmp_path, blank_database)
            await bot.start()
            yield people, bot, counter
            await bot.stop()


async def test_few_calls_run_before_the_acknowledgement(counted: tuple[People, LivingBot, CallCounter]) -> None:
    people, bot, counter = counted
    calls = {name: await count(people, bot, counter, ask) for name, ask in REQUESTS.items()}
    for name, most in MOST_CALLS.items():
        assert 20 < calls[name].total() <= most, f"{name}: {calls[name].most_common()}"


# What changes between the acknowledgement and the submission.


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a request was held against the guild's limits."""
    made, check = Counter[str](), Policy.require_within_limits

    def counting_checks(self: Policy, *args: Any, **options: Any) -> None:
        made["limits"] += 1
        check(self, *args, **options)

    monkeypatch.setattr(Policy, "require_within_limits", counting_checks)
    return made


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """No attached file is fetched until it is set."""
    opened, fetch = asyncio.Event(), attachments.fetch_attachment

    async def fetch_later(*args: Any, **options: Any) -> bytes:
        await opened.wait()
        return await fetch(*args, **options)

    monkeypatch.setattr(attachments, "fetch_attachment", fetch_later)
    return opened


async def ask(people: People) -> Interaction:
    return await people.ada.slash("img2img", prompt=RED, steps=2, count=2, image=Upload("a.png", picture()))


async def block(people: People, bot: LivingBot) -> None:
    await bot.services.moderation.block(people.guild.id, people.ada.user.id, Entry(1, "for a test"), lasting=None)


async def deny_server(people: People, bot: LivingBot) -> None:
    await bot.services.operator.set_standing(people.guild.id, AccessDecision.DENIED)


async def close(people: People, bot: LivingBot) -> None:
    bot.generation.is_closed = True


async def drain(people: People, bot: LivingBot) -> None:
    await bot.generation.drain(grace_s=0)


async def fill_queue(people: People, bot: LivingBot) -> None:
    await bot.hold_painting()
    spec = ImageSpec.for_model(bot.generation.catalog.default, prompt=RED, seed=0)
    with pytest.raises(QueueFullError):
        while True:
            await bot.generation.submit(
                GenerationRequest(spec=spec, count=4), Owner(people.guild.id, people.ada.user.id), may_use_all=True
            )


async def use_up_quota(people: People, bot: LivingBot) -> None:
    gil = people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
    await told(people.discord, await people.discord.act_as(gil, people.general).slash("quota set", limit=1))


async def add_rule(people: People, bot: LivingBot) -> None:
    await bot.services.content_rules.add_rules(people.guild.id, [Rule(text="circle", reason="No circles.")], by=1)


async def lower_limit(people: People, bot: LivingBot) -> None:
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(max_steps=1)))


async def slow_down(people: People, bot: LivingBot) -> None:
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(requests_per_minute=1)))
    bot.services.rates.take(Owner(people.guild.id, people.ada.user.id), limit=1)


CHANGES: dict[Change, str] = {
    block: "moderator",
    deny_server: "operator",
    close: "closed",
    drain: "restart",
    fill_queue: "may wait at once",
    use_up_quota: "quota",
    add_rule: "No circles",
    lower_limit: "at most 1 steps",
    slow_down: "minute",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
async def test_what_changes_after_the_acknowledgement_holds(
    discord: Sandbox, people: People, bot: LivingBot, gate: asyncio.Event, change: Change
) -> None:
    asked = await ask(people)
    assert asked.original_message is not None and asked.original_message.is_loading
    await change(people, bot)
    gate.set()
    assert CHANGES[change] in (await told(discord, asked)).text
    assert asked.original_message not in people.general.messages, "the public “thinking…” is gone"
    assert pictures_of(bot) == set()
    if change is fill_queue:
        bot.go_on_painting()


async def test_the_control_what_did_not_change_is_not_checked_again(
    discord: Sandbox, people: People, bot: LivingBot, gate: asyncio.Event, checks: Counter[str]
) -> None:
    asked = await ask(people)
    await bot.services.content_rules.add_rules(people.guild.id + 1, [Rule(text="circle")], by=1)
    gate.set()
    message = await until_done(discord, asked)
    assert len(message.attachments) == 2
    assert checks["limits"] == 1
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    await until_done(discord, await people.ada.click(message, button_of(message, "up", 0)))
    assert checks["limits"] == 3


async def test_a_request_that_is_known_later_is_checked_then_and_once(
    discord: Sandbox, people: People, bot: LivingBot, checks: Counter[str]
) -> None:
    painted = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    png = painted.attachments[0].data
    checks.clear()
    await until_done(discord, await people.ada.slash("reproduce", file=Upload("a.png", png)))
    assert checks["limits"] == 1
    await add_rule(people, bot)
    refused = await told(discord, await people.ada.slash("reproduce", file=Upload("a.png", png)))
    assert "No circles" in refused.text


async def test_a_photograph_that_lies_on_its_side_is_another_request_and_is_checked_again(
    discord: Sandbox, people: People, bot: LivingBot, checks: Counter[str]
) -> None:
    exif, sideways = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # turned by a quarter: Discord says it is wide, and it is tall
    Image.new("RGB", (192, 128), "red").save(sideways, "JPEG", exif=exif)
    asked = await people.ada.slash("img2img", prompt=RED, steps=2, image=Upload("a.jpg", sideways.getvalue()))
    await until_done(discord, asked)
    spec = (await bot.job_of(asked)).request.spec
    assert spec.width_px < spec.height_px
    assert checks["limits"] == 2


async def test_a_rule_that_warns_is_told_of_whether_it_was_there_before_or_came_meanwhile(
    discord: Sandbox, people: People, bot: LivingBot, gate: asyncio.Event
) -> None:
    warning = Rule(text="circle", reason="Circles are dull.", action=Action.WARN)
    asked = await ask(people)
    await bot.services.content_rules.add_rules(people.guild.id, [warning], by=1)
    gate.set()
    for used in (asked, await ask(people)):
        await discord.wait_for(lambda used=used: used.followups)
        assert "Circles are dull" in used.followups[0].text
        await until_done(discord, used)


async def test_what_is_told_on_the_next_occasion_does_not_take_the_place_of_a_job(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    bot.client.tracker._kept[people.ada.user.id].append("the channel is gone")  # type: ignore[attr-defined]
    await bot.hold_painting()
    discord.faults.delay("/webhooks/*/messages/@original", method="PATCH", wait_s=0.5)
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    await discord.wait_for(lambda: asked.followups)
    ours = [call.method for call in discord.journal.calls if "/webhooks/" in call.template]
    assert ours[:2] == ["PATCH", "POST"], "the message of the job, then the note"
    assert asked.followups[0].is_ephemeral and "the channel is gone" in asked.followups[0].text
    bot.go_on_painting()
    assert len((await until_done(discord, asked)).attachments) == 1
