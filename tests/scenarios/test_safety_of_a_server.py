"""Flagged pictures, from the checker to what people see: block, blur, off, review, and a channel that changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cogs.maintenance import sweep
from cogs.results._messages import FLAGGED as FLAGGED_HERE
from cogs.results._messages import NOT_SHOWN_HERE
from db.admin.reconcile import reconcile
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.admission.errors import ServersOnlyError
from generation.errors import WithheldError
from generation.jobs.job import Status
from generation.policy.errors import UncheckedModelError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.safety.checker_trust import SHARED
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.running import run_for_a_day
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

FLAGGED = "a withhold-image of a spider"


@pytest.fixture
def after_dark(discord: Sandbox, people: People) -> ScriptedUser:
    """Ada in an age-restricted channel."""
    channel = people.guild.add_channel("after-dark", nsfw=True)
    return discord.act_as(people.guild.members[people.ada.user.id], channel)


async def choose(bot: LivingBot, people: People, level: SafetyLevel, **choices: object) -> None:
    settings = GuildSettings(guild_id=people.guild.id, safety=level, choices=GuildPreferences(**choices))  # type: ignore[arg-type]
    await bot.choose(settings)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    return asked.followups[-1] if asked.followups else await until_shown(discord, asked)


def spoilers(message: Message) -> list[bool]:
    galleries = [each for each in walk(message.components) if each["type"] == 12]
    return [bool(item.get("spoiler")) for gallery in galleries for item in gallery["items"]]


def walk(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for top in components for each in (top, *walk(top.get("components", [])))]


async def test_blocked_blurred_or_shown_as_the_server_chose(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    for who, level, expected in (
        (people.ada, SafetyLevel.BLOCK, None),
        (people.ada, SafetyLevel.OFF, None),  # off is for age-restricted channels only
        (people.ada, SafetyLevel.BLUR, [True]),
        (after_dark, SafetyLevel.BLOCK, None),
        (after_dark, SafetyLevel.OFF, [False]),
    ):
        await choose(bot, people, level)
        asked = await who.slash("imagine", prompt=FLAGGED, steps=2)
        message, job = await until_done(discord, asked), await bot.ended(asked)
        [image] = job.images
        assert image.judgement is not None
        assert image.judgement.is_flagged
        assert image.judgement.margins == dict.fromkeys(SHARED, 0.5)
        if expected is None:
            assert (image.status, image.charged, image.file_sha256) == (Status.WITHHELD, 0, None)
            assert is_said(WithheldError, message.text)
            assert not message.attachments
        else:
            assert (image.status, image.charged) == (Status.DONE, image.reserved)
            assert spoilers(message) == expected
            assert is_said(FLAGGED_HERE, message.text) == expected[0]
    fine = await until_done(discord, await people.ada.slash("imagine", prompt="a red circle", steps=2))
    assert spoilers(fine) == [False]
    assert (await reconcile(bot.database)).is_exact


async def test_a_channel_turned_safe_before_the_result_is_posted(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    await choose(bot, people, SafetyLevel.OFF)
    asked = await after_dark.slash("imagine", prompt=f"{FLAGGED}, slow-image", steps=10)
    await until_shown(discord, asked)
    after_dark.channel.set_nsfw(False)
    message = await until_done(discord, asked)
    job = await bot.jobs.fetch_job((await bot.job_of(asked)).id)
    assert not message.attachments
    assert is_said(WithheldError, message.text)
    assert (job.images[0].status, job.images[0].charged, job.images[0].file_sha256) == (Status.WITHHELD, 0, None)
    assert (await reconcile(bot.database)).is_exact
    assert not list((bot.data_dir / "pictures").rglob("*.png"))


async def restarted(discord: Sandbox, bot: LivingBot, who: ScriptedUser, *, then: Callable[[], object]) -> Interaction:
    """A flagged picture is painted, and not posted when the bot dies. It is back before Discord names its channels."""
    await bot.hold_painting()
    asked = await who.slash("imagine", prompt=FLAGGED, steps=2)
    await until_shown(discord, asked)
    job_id = (await bot.job_of(asked)).id
    for path in ("/webhooks/*", "/channels/*"):
        discord.faults.fail(path, times=1000, status=503)
    bot.go_on_painting()
    await bot.generation.finished(job_id)
    await bot.crash()
    discord.faults.clear()
    then()
    discord.faults.delay("/gateway*", wait_s=1.0)
    await bot.start()
    return asked


@pytest.mark.parametrize("times", [0, 1], ids=["answers", "answers late"])
@pytest.mark.parametrize("is_thread", [False, True], ids=["channel", "thread"])
async def test_a_restart_loses_nothing_that_may_be_shown(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser, is_thread: bool, times: int
) -> None:
    """The result is due before the gateway has named any channel; Discord may even fail when asked for it."""
    await choose(bot, people, SafetyLevel.OFF)
    where = after_dark.channel.add_thread("late") if is_thread else after_dark.channel
    inside = discord.act_as(people.guild.members[people.ada.user.id], where)
    asked = await restarted(
        discord, bot, inside, then=lambda: times and discord.faults.fail("/channels/*", method="GET", status=503)
    )
    message = await until_done(discord, asked)
    [image] = (await bot.job_of(asked)).images
    assert spoilers(message) == [False]
    assert (image.status, image.charged) == (Status.DONE, image.reserved)
    assert bot.generation.files.get(image.file_sha256 or "")


async def test_a_channel_turned_safe_during_a_restart(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    await choose(bot, people, SafetyLevel.OFF)
    asked = await restarted(discord, bot, after_dark, then=lambda: after_dark.channel.set_nsfw(False))
    message = await until_done(discord, asked)
    [image] = (await bot.job_of(asked)).images
    assert not message.attachments
    assert (image.status, image.charged, image.file_sha256) == (Status.WITHHELD, 0, None)
    assert (await reconcile(bot.database)).is_exact


async def test_in_a_channel_that_cannot_be_seen_nothing_is_shown_and_nothing_deleted(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    """The token would still do: only what the bot may see has changed."""
    await choose(bot, people, SafetyLevel.OFF)
    closed = lambda: discord.faults.take_permission(after_dark.channel, int(Permission.VIEW_CHANNEL))  # noqa: E731
    asked = await restarted(discord, bot, after_dark, then=closed)
    message = await until_done(discord, asked)
    [image] = (await bot.job_of(asked)).images
    assert not message.attachments
    assert is_said(NOT_SHOWN_HERE, message.text)
    assert (image.status, image.charged) == (Status.DONE, image.reserved)
    assert bot.generation.files.get(image.file_sha256 or "")


async def test_a_thread_is_as_restricted_as_its_channel(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    await choose(bot, people, SafetyLevel.OFF)
    thread = after_dark.channel.add_thread("late")
    inside = discord.act_as(people.guild.members[people.ada.user.id], thread)
    message = await until_done(discord, await inside.slash("imagine", prompt=FLAGGED, steps=2))
    assert spoilers(message) == [False]
    history = await told(discord, await people.ada.slash("history"))
    assert not history.attachments, "the history is read anywhere, so flagged pictures stay out of its sheets"


async def test_kept_for_review_blurred_and_only_where_wanted(discord: Sandbox, people: People, bot: LivingBot) -> None:
    await choose(bot, people, SafetyLevel.BLOCK, review_hours=24)
    job = await bot.ended(await people.ada.slash("imagine", prompt=FLAGGED, steps=2))
    [kept] = await bot.services.reviews.fetch_reviews(people.guild.id)
    assert kept.image_id == job.images[0].id
    assert bot.generation.files.get(kept.sha256)
    discord.clock.advance(25 * 3600)
    await run_for_a_day(bot.database, bot.now)
    assert await sweep(bot.services) == 1
    assert bot.generation.files.get(kept.sha256) is None
    assert await bot.services.reviews.fetch_reviews(people.guild.id) == []


async def test_without_checking_other_models_stay_in_age_restricted_channels(
    discord: Sandbox, people: People, bot: LivingBot, after_dark: ScriptedUser
) -> None:
    [paintbox, *_] = bot.generation.catalog.models
    real = replace(paintbox, name="real", safety_checker=None)
    bot.generation.catalog = replace(bot.generation.catalog, models=(paintbox, real))
    painted = await people.ada.slash("imagine", prompt="a red circle", model="real", steps=2)
    assert (await until_done(discord, painted)).attachments
    bot.generation.checks_safety = False
    refused = await told(discord, await people.ada.slash("imagine", prompt="a red circle", model="real"))
    assert is_said(UncheckedModelError, refused.text)
    asked = await after_dark.slash("imagine", prompt="a red circle", model="real", steps=2)
    assert (await until_shown(discord, asked)).text
    bot.generation.checks_safety = True


async def test_direct_messages_are_off_unless_the_operator_wants_them(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    bot.client.services = replace(bot.services, allows_dms=False)
    refused = await told(discord, await discord.act_as(people.ada.user).slash("imagine", prompt="a red circle"))
    assert is_said(ServersOnlyError, refused.text)
