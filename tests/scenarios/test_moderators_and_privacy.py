"""Reports, blocks, purges, and one's own data: over the wire, looked for in every byte afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from cogs.common.errors import NotAModeratorError, NotSureError
from cogs.common.formatting import format_pictures
from cogs.maintenance import sweep
from cogs.moderation._cog import KEPT_BACK, UNBLOCKED
from cogs.moderation._messages import (
    BY,
    NOTHING_TO_REVIEW,
    NUM_FLAGGED,
    NUM_REFUSED,
    RATE,
    REPORTED,
    REPORTED_ALREADY,
    format_purged,
)
from cogs.privacy._cog import FILE_OF, OF_YOU, format_deleted
from db.admin.reconcile import reconcile
from discord_sandbox import Interaction, Message, Permission, Sandbox
from generation.admission.errors import BlockedError, BlockedUntilError, WithheldTooOftenError
from generation.errors import TooFastError
from generation.jobs.job import Image, Job, new_job_id
from generation.owner import Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.spec import GenerationRequest
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown
from tests.stored import fetch_jobs

RED = "a red circle on a blue background"
OWN = "an unmistakable zanzibar of marmalade"


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


async def test_a_report_is_looked_at_and_dealt_with(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    reported = await told(discord, await people.bo.context_menu("Report picture", message))
    assert is_said(REPORTED, reported.text)
    again = await people.bo.context_menu("Report picture", message)
    assert is_said(REPORTED_ALREADY, (await told(discord, again)).text)
    queue = await told(discord, await people.mo.slash("review"))
    assert is_said(BY, queue.text, whom=f"<@{people.ada.user.id}>")
    assert queue.attachments
    forged = await people.ada.forging.click(queue, queue.buttons[0]["custom_id"])
    assert is_said(NotAModeratorError, (await told(discord, forged)).text)
    await people.mo.click(queue, "Delete and block for a day")
    await discord.wait_for(lambda: is_said(NOTHING_TO_REVIEW, queue.text))
    assert message.is_deleted
    assert not list((bot.data_dir / "pictures").rglob("*.png"))
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED))
    assert is_said(BlockedUntilError, refused.text)
    assert is_said(UNBLOCKED, (await told(discord, await people.mo.slash("unblock", member=people.ada.user))).text)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments


async def test_kept_back_pictures_are_reviewed_blurred(discord: Sandbox, people: People, bot: LivingBot) -> None:
    settings = GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(review_hours=24))
    await bot.choose(settings)
    await bot.ended(await people.ada.slash("imagine", prompt=f"{RED} withhold-image", steps=2))
    queue = await told(discord, await people.mo.slash("review"))
    assert is_said(KEPT_BACK, queue.text)
    assert is_said(RATE, queue.text) and is_said(NUM_FLAGGED, queue.text, number=1, all=1)
    assert queue.attachments[0].filename.endswith(".jpg")
    await people.mo.click(queue, "Nothing wrong")
    await discord.wait_for(lambda: is_said(NOTHING_TO_REVIEW, queue.text))
    assert not list((bot.data_dir / "pictures").rglob("*.png"))


async def test_purge_takes_one_members_pictures(discord: Sandbox, people: People, bot: LivingBot) -> None:
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2, count=2))
    kept = await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2))
    asked = await told(discord, await people.mo.slash("purge", member=people.ada.user))
    said = await told(discord, await people.mo.click(asked, "Delete all of them"))
    assert format_purged(2) in said.text
    assert len(list((bot.data_dir / "pictures").rglob("*.png"))) == len(kept.attachments)


async def test_delete_leaves_no_trace_in_database_files_or_logs(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("discord").setLevel(logging.WARNING)
    message = await until_done(discord, await people.ada.slash("imagine", prompt=OWN, steps=2))
    await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2))
    await told(discord, await people.ada.context_menu("Report picture", message))
    await told(discord, await people.mo.slash("block", member=people.ada.user))
    user_id = people.ada.user.id
    traces = [str(user_id).encode(), user_id.to_bytes(8, "big"), OWN.encode()]
    assert all(trace in everything(bot.data_dir) for trace in traces[1:]), "the search below would find nothing anyway"

    shown = (await told(discord, await people.ada.slash("privacy"))).text
    assert is_said(OF_YOU, shown, pictures=format_pictures(1))
    exported = (await told(discord, await people.ada.slash("privacy", what="export"))).attachments[0].data
    tables = json.loads(exported)["tables"]
    assert {"jobs", "images", "ledger", "reports"} <= set(tables)
    assert OWN in exported.decode()
    assert RED not in exported.decode()
    said = (await told(discord, await people.ada.slash("privacy", what="delete"))).text
    assert is_said(NotSureError, said, word="DELETE")
    deleted = await told(discord, await people.ada.slash("privacy", what="delete", sure="DELETE"))
    assert deleted.text == format_deleted(1)

    left = everything(bot.data_dir)
    assert [trace for trace in traces if trace in left] == []
    assert not any(str(user_id) in line or OWN in line for line in caplog.text.splitlines())
    assert (await reconcile(bot.database)).is_exact
    assert len(list((bot.data_dir / "pictures").rglob("*.png"))) == 1
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED))
    assert is_said(BlockedError, refused.text), "the block outlives the erasure"


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_who_is_refused_how_often_is_shown_and_slows_them_down(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    async def choose(**choices: Any) -> None:
        settings = GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(**choices))
        await bot.choose(settings)

    await choose(requests_per_minute=2)
    for _ in range(2):
        message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    for asked in (await people.ada.slash("imagine", prompt=RED), await people.ada.click(message, "Reroll")):
        said = (await told(discord, asked)).text
        assert is_said(TooFastError, said, limit=2)
    assert (await until_done(discord, await people.bo.click(message, "Reroll"))).attachments, "others are not held up"
    discord.clock.advance(61)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments

    await choose(withheld_per_hour=2)
    await bot.services.content_rules.add_rules(people.guild.id, [Rule(text="goblin")], by=people.mo.user.id)
    await told(discord, await people.ada.slash("imagine", prompt="a g0blin"))
    asked = await people.ada.slash("imagine", prompt="withhold-image", steps=2, count=2)
    await until_done(discord, asked)
    said = (await told(discord, await people.ada.slash("imagine", prompt=RED))).text
    assert is_said(WithheldTooOftenError, said)
    manager = discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)
    shown = (await told(discord, await manager.slash("safety"))).text
    assert f"<@{people.ada.user.id}> · 50% · " in shown
    assert is_said(NUM_FLAGGED, shown, number=2, all=5) and is_said(NUM_REFUSED, shown, number=1, all=5)
    assert f"<@{people.bo.user.id}>" not in shown
    discord.clock.advance(3600)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments


async def test_an_erasure_cut_off_by_a_crash_is_finished_by_the_next_sweep(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    async def num_begun() -> int:
        begun = text("SELECT count(*) FROM members WHERE user_id < 0")
        return int(await bot.database.read(lambda session: session.scalar(begun)))

    await until_done(discord, await people.ada.slash("imagine", prompt=OWN, steps=2))
    await anext(bot.services.personal.erase(people.ada.user.id))
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    await bot.crash()
    await bot.start()
    assert await num_begun() == 1
    await sweep(bot.services)
    assert await num_begun() == 0
    stored = b"".join(path.read_bytes() for path in bot.data_dir.glob("atelier.db*"))
    assert OWN.encode() not in stored, "its picture is a stray, swept as such"
    jobs, _ = await bot.services.personal.count(people.ada.user.id)
    assert jobs == 1, "what was asked for meanwhile stays"


async def test_an_export_over_the_limit_comes_as_several_files(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    people.guild.attachment_size_limit = 300_000
    await bot.ended(await people.ada.slash("imagine", prompt=RED, steps=2))
    (job,) = await fetch_jobs(bot.jobs, Owner(people.guild.id, people.ada.user.id))
    words = Random(1)
    prompts = ["".join(words.choice("abcdefghijklmnopqrstuvwxyz0123456789 ") for _ in range(900)) for _ in range(300)]
    await asyncio.gather(*(bot.jobs.accept(like(job, prompt)) for prompt in prompts))
    asked = await people.ada.slash("privacy", what="export")
    await discord.wait_for(lambda: is_whole(asked.messages))
    sent = asked.messages
    assert len(sent) > 1
    found = set()
    for number, message in enumerate(sent, start=1):
        assert message.is_ephemeral
        assert is_said(FILE_OF, message.text, number=number, total=len(sent))
        (attached,) = message.attachments
        assert len(attached.data) <= 300_000
        with zipfile.ZipFile(io.BytesIO(attached.data)) as unpacking:
            (inside,) = unpacking.namelist()
            jobs = json.loads(unpacking.read(inside))["tables"].get("jobs", ())
            found |= {each["request"]["spec"]["prompt"] for each in jobs}
    assert found == {RED, *prompts}


def like(job: Job, prompt: str) -> Job:
    """The same request with other words, as a job of its own."""
    spec, job_id = replace(job.request.spec, prompt=prompt), new_job_id()
    image = Image(job_id=job_id, index=0, spec=spec, reserved=1)
    return replace(job, id=job_id, request=GenerationRequest(spec=spec, count=1), images=(image,))


def is_whole(sent: list[Message]) -> bool:
    """Whether the last of so many files is there."""
    return bool(sent) and is_said(FILE_OF, sent[-1].text, number=len(sent), total=len(sent))
