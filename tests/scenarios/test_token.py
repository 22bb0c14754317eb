"""A member's key is made on Discord, paints over HTTP under the server's rules, and ends on Discord."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from cli.api import open_api
from cogs.common.errors import ApiOffError
from discord_sandbox import Sandbox
from generation.admission.errors import NoChannelHereError
from generation.errors import UnknownJobError
from generation.owner import Owner
from generation.policy.errors import NoPaintingRoleError, UnknownKeyError
from generation.policy.guild_preferences import GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.rules.rule import Rule
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

RED = {"prompt": "a red circle", "size": "64x64", "steps": 2}


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    living = LivingBot(discord, tmp_path, blank_database, api_port=1)  # which port it is, `connect` says
    await living.start()
    yield living
    await living.stop()


@asynccontextmanager
async def connect(bot: LivingBot, key: str) -> AsyncIterator[httpx2.AsyncClient]:
    settings = bot.settings.model_copy(update={"api_port": 0})
    async with open_api(settings, bot.services, bot.services.member_roles) as port:
        auth, url = {"Authorization": f"Bearer {key}"}, f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, headers=auth, timeout=PATIENCE_S, trust_env=False) as client:
            yield client


async def make_key(discord: Sandbox, people: People, name: str = "laptop") -> str:
    message = await until_shown(discord, await people.ada.slash("token create", name=name))
    assert message.is_ephemeral
    found = re.search(r"atl_[\w-]{43}", message.text)
    assert found is not None, message.text
    return found[0]


async def test_a_key_made_on_discord_paints_and_ends_there(discord: Sandbox, people: People, bot: LivingBot) -> None:
    key = await make_key(discord, people)
    async with connect(bot, key) as client:
        answer = await client.post("/v1/images/generations", json=RED)
        assert answer.status_code == 200, answer.text
        history = await until_shown(discord, await people.ada.slash("history"))
        assert "a red circle" in history.text
        assert all(each.is_ephemeral for each in people.general.messages), "nothing is posted"
        opened = await until_shown(discord, await people.ada.click(history, "Open 1"))
        assert opened.attachments
        job_id = answer.json()["job_id"]
        started = await until_done(
            discord, await people.ada.slash("img2img", prompt="a blue circle", **{"from": job_id})
        )
        assert started.attachments, "it is a picture of theirs like any other"
        theirs = await until_shown(
            discord, await people.bo.slash("img2img", prompt="a blue circle", **{"from": job_id})
        )
        assert theirs.text.startswith(str(UnknownJobError())), "and private"
        listed = await until_shown(discord, await people.ada.slash("token list"))
        assert "laptop" in listed.text and key not in listed.text
        other = await until_shown(discord, await people.bo.slash("token list"))
        assert "laptop" not in other.text
        refused = await until_shown(discord, await people.bo.slash("token revoke", name="laptop"))
        assert refused.text.startswith(str(UnknownKeyError(name="laptop")))
        await until_shown(discord, await people.ada.slash("token revoke", name="laptop"))
        assert (await client.post("/v1/images/generations", json=RED)).status_code == 401
    changes = await bot.services.audit_log.fetch_changes(people.guild.id)
    assert [str(each.text) for each in changes] == ["revoked a key of the API", "made a key of the API"]


async def test_the_rules_of_the_server_hold_over_http(discord: Sandbox, people: People, bot: LivingBot) -> None:
    key, guild_id = await make_key(discord, people), people.guild.id
    await bot.services.content_rules.add_rules(guild_id, [Rule(text="goblin", reason="no goblins")], by=1)
    choices = GuildPreferences(max_steps=5, max_count=1, requests_per_minute=2)
    await bot.choose(GuildSettings(guild_id=guild_id, choices=choices))
    async with connect(bot, key) as client:
        for changes, status, said in (
            ({"prompt": "a goblin"}, 400, "no goblins"),
            ({"steps": 6}, 403, "at most 5 steps"),
            ({"n": 2}, 403, "at most 1 pictures"),
            ({}, 200, ""),
            ({}, 200, ""),
            ({}, 429, "2 requests a minute"),
        ):
            answer = await client.post("/v1/images/generations", json=RED | changes)
            assert (answer.status_code, said in answer.text) == (status, True), answer.text
        assert int(answer.headers["Retry-After"]) > 0
        for closed in (GuildPreferences(channel_ids=(1,)), GuildPreferences(visibility=Visibility.ALWAYS_PUBLIC)):
            await bot.choose(GuildSettings(guild_id=guild_id, choices=closed))
            answer = await client.post("/v1/images/generations", json=RED)
            assert (answer.status_code, str(NoChannelHereError()) in answer.text) == (403, True)
        await bot.choose(GuildSettings(guild_id=guild_id, choices=GuildPreferences(role_ids=(77,))))
        answer = await client.post("/v1/images/generations", json=RED)
        assert (answer.status_code, str(NoPaintingRoleError()) in answer.text) == (403, True)


async def test_a_key_ends_with_the_membership(discord: Sandbox, people: People, bot: LivingBot) -> None:
    key = await make_key(discord, people)
    people.guild.remove_member(people.guild.members[people.ada.user.id])
    async with connect(bot, key) as client:
        assert (await client.get("/v1/models")).status_code == 401
    assert await bot.services.api_keys.fetch_live(Owner(people.guild.id, people.ada.user.id)) == []


async def test_without_an_api_no_key_is_made(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path
) -> None:
    bot = LivingBot(discord, tmp_path, blank_database)
    await bot.start()
    message = await until_shown(discord, await people.ada.slash("token create", name="laptop"))
    assert message.text.startswith(str(ApiOffError()))
    await bot.stop()
