"""The option `model` while typing: which models are offered where, in which order, and what is said of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from discord_sandbox import Sandbox, ScriptedUser
from generation.models.catalog import PAINTBOX, Catalog
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from tests.scenarios.bot_harness import LivingBot, People

KLEIN, EDITOR, FILLER, PHOTO = "klein", "plus", "filler", "photo"
LABELS = {
    PAINTBOX: PAINTBOX,
    KLEIN: f"{KLEIN} · FLUX.2 klein 4B · edits up to 4 pictures by instruction",
    EDITOR: f"{EDITOR} · FLUX.1 Kontext · edits 1 picture by instruction",
    FILLER: f"{FILLER} · Stable Diffusion 1 · made for inpainting",
    PHOTO: f"{PHOTO} · Pony",
}


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """A bot with models of several kinds, by name: none of them paints here."""
    plain = Catalog.open(PAINTBOX).default
    models = (
        plain,
        replace(plain, name=KLEIN, family="klein"),
        replace(plain, name=EDITOR, family="kontext"),
        replace(plain, name=FILLER, context_width=768, is_inpainting=True),
        replace(plain, name=PHOTO, context_width=2048, base_model="Pony"),
    )
    living = LivingBot(discord, tmp_path, blank_database, models=models)
    await living.start()
    yield living
    await living.stop()


async def offer(who: ScriptedUser, command: str, value: str = "", **options: object) -> dict[str, str]:
    offered = await who.autocomplete(command, focused="model", value=value, **options)
    return {each["value"]: each["name"] for each in offered}


async def test_each_is_offered_with_its_kind_and_what_it_is_made_for(people: People, bot: LivingBot) -> None:
    ada = people.ada
    assert await offer(ada, "imagine", prompt="x") == LABELS
    assert list(await offer(ada, "imagine", "flux", prompt="x")) == [KLEIN, EDITOR], "also by its kind"
    assert list(await offer(ada, "edit", what="x")) == [KLEIN, EDITOR]


async def test_of_more_than_discord_shows_each_is_found_by_a_part_of_its_name(people: People, bot: LivingBot) -> None:
    plain = Catalog.open(PAINTBOX).default
    many = tuple(replace(plain, name=f"hill {number:02}") for number in range(40))
    bot.generation.catalog = Catalog((plain, *many))
    shown = await offer(people.ada, "imagine", prompt="x")
    assert len(shown) == 25 and many[-1].name not in shown
    assert list(await offer(people.ada, "imagine", "39", prompt="x")) == [many[-1].name]
    options = next(each["options"] for each in people.ada.list_visible_commands() if each["name"] == "imagine")
    assert "Type a part" in next(each["description"] for each in options if each["name"] == "model")


async def test_the_default_is_first_and_what_a_server_does_not_allow_is_left_out(
    people: People, bot: LivingBot
) -> None:
    ada = people.ada
    await ada.slash("me set", model=PHOTO)
    assert list(await offer(ada, "imagine", prompt="x"))[:2] == [PHOTO, PAINTBOX]
    choices = GuildPreferences(models=(PAINTBOX, EDITOR))
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=choices))
    assert list(await offer(ada, "imagine", prompt="x")) == [PAINTBOX, EDITOR]
    assert list(await offer(ada, "edit", what="x")) == [EDITOR]
    assert list(await offer(ada, "compare", prompt="x")) == [PAINTBOX, EDITOR]
    assert (await offer(ada, "me set")).keys() == LABELS.keys(), "it holds in every server"


async def test_what_nothing_checks_is_offered_in_age_restricted_channels_only(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path
) -> None:
    plain = Catalog.open(PAINTBOX).default
    models = (plain, replace(plain, name=PHOTO))
    living = LivingBot(discord, tmp_path, blank_database, models=models, checks_safety=False)
    await living.start()
    try:
        assert list(await offer(people.ada, "imagine", prompt="x")) == [PAINTBOX]
        after_dark = people.guild.add_channel("after-dark", nsfw=True)
        ada = discord.act_as(people.guild.members[people.ada.user.id], after_dark)
        assert list(await offer(ada, "imagine", prompt="x")) == [PAINTBOX, PHOTO]
    finally:
        await living.stop()
