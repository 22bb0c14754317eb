"""A member's own defaults and those of a channel: typed, pressed, after a restart, passed over, in two languages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from cogs.common.errors import NoPreferencesError, NotAManagerError, NotOfferedError
from cogs.i18n.gettext import use_language
from cogs.me._messages import CHANGED, LEFT_OPEN
from cogs.recipe._messages import ORIGINS
from cogs.results._messages import IDENTICAL
from cogs.settings._channels import TITLE
from cogs.settings._views import PANEL_TITLE
from discord_sandbox import Permission, Sandbox, ScriptedUser, Upload
from generation.errors import BlockedByRuleError, UnknownModelError
from generation.models.catalog import PAINTBOX, Catalog
from generation.models.errors import SizeFormatError
from generation.policy.defaults import FORBIDDEN, GONE, IGNORED, NOT_USED, TOO_LARGE
from generation.policy.guild_preferences import ChannelDefaults, GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.policy.member_preferences import MemberPreferences
from generation.requests.defaults import DefaultOverrides
from generation.requests.errors import TagInModelWordsError
from generation.requests.origin import Origin
from generation.requests.style import Style
from generation.rules.rule import Rule
from generation.safety.errors import MinorSafetyError
from generation.translatable import Phrase
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, press, until_done, until_shown
from tests.scenarios.test_how_pictures_are_shown import alts
from tests.scenarios.test_languages_of_a_server import is_said_in
from tests.scenarios.test_settings_of_a_server import RED, told
from tests.scenarios.test_work_before_the_gate import picture

SECOND = "second"


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """A bot with two models."""
    first = Catalog.open(PAINTBOX).default
    living = LivingBot(discord, tmp_path, blank_database, models=(first, replace(first, name=SECOND)))
    await living.start()
    yield living
    await living.stop()


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def set_server(bot: LivingBot, people: People, **choices: object) -> None:
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(**choices)))  # type: ignore[arg-type]


async def test_what_is_left_open_is_chosen_by_the_member_also_after_a_restart(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    shown = await told(discord, await ada.slash("me show"))
    assert shown.text.count(LEFT_OPEN) == 4
    own = {"model": SECOND, "aspect": "3:2", "sampler": "Euler a", "negative": "fog"}
    assert is_said(CHANGED, (await told(discord, await ada.slash("me set", **own))).text)
    await bot.stop()
    await bot.start()
    asked = await ada.slash("imagine", prompt=RED, steps=2)
    message = await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    spec = request.spec
    assert (spec.model, spec.sampler, spec.negative) == (SECOND, "Euler a", "fog")
    assert spec.width_px > spec.height_px
    assert request.chosen_by == {
        **dict.fromkeys(("model", "shape", "sampler", "negative"), Origin.MEMBER),
        "steps": Origin.TYPED,
    }
    recipe = (await told(discord, await people.bo.click(message, "Recipe"))).text
    assert is_said(ORIGINS[Origin.MEMBER], recipe, values="model, shape, sampler, what to avoid")
    assert is_said(ORIGINS[Origin.TYPED], recipe, values="steps")
    # The picture is made again from its recipe alone, for any member, whatever their defaults are.
    again = await until_done(discord, await people.bo.slash("reproduce", picture=f"{job_id_in(message)}-0"))
    assert is_said(IDENTICAL, again.text)


async def test_what_is_typed_comes_first_and_buttons_keep_what_the_picture_has(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    await told(discord, await ada.slash("me set", model=SECOND, aspect="3:2", sampler="Euler a", negative="fog"))
    typed = {"model": PAINTBOX, "aspect": "2:3", "sampler": "DDIM", "negative": "-"}
    asked = await ada.slash("imagine", prompt=RED, steps=2, **typed)
    message = await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    assert (request.spec.model, request.spec.sampler, request.spec.negative) == (PAINTBOX, "DDIM", "")
    assert request.spec.width_px < request.spec.height_px
    assert request.chosen_by is UNSET, "no default chose anything"
    pressed = await ada.click(message, button_of(message, "reroll"))
    await until_done(discord, pressed)
    rerolled = (await bot.job_of(pressed)).request
    assert replace(rerolled.spec, seed=0) == replace(request.spec, seed=0)
    start = Upload("a.png", picture())
    asked = await ada.slash("img2img", image=start, prompt=RED, steps=2)
    await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    assert (request.spec.model, request.spec.sampler, request.spec.negative) == (SECOND, "Euler a", "fog")
    assert "shape" not in dict(request.chosen_by or {}), "the picture has a shape"
    await told(discord, await ada.slash("me reset", what="all of it"))
    asked = await ada.slash("imagine", prompt=RED, steps=2)
    await until_done(discord, asked)
    assert (await bot.job_of(asked)).request.chosen_by is UNSET
    assert bot.services.preferences.chosen == {}


async def test_member_before_channel_before_server_before_model(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    gallery = people.guild.add_channel("gallery")
    overrides = {PAINTBOX: DefaultOverrides(steps=3, sampler="DDIM"), SECOND: DefaultOverrides(steps=2)}
    await set_server(bot, people, default_model=PAINTBOX, default_aspect="16:9", model_defaults=overrides)
    style = Style(guild_id=people.guild.id, name="Ink", prompt="{prompt}, in ink", negative="colour")
    await told(discord, await manager.slash("style add", name=style.name, prompt=style.prompt, negative="colour"))
    ada, there = people.ada, discord.act_as(people.ada.member, gallery)

    panel = await told(discord, await manager.slash("settings"))
    await manager.click(panel, "atelier-set:channels:open")
    await discord.wait_for(lambda: is_said(PANEL_TITLE, panel.text, page=TITLE))
    await manager.select(panel, "atelier-set:channels:channel", [gallery])
    key = f"atelier-set:channels:channel_{{}}:{gallery.id}"
    await discord.wait_for(lambda: str(gallery.id) in panel.text)
    await manager.select(panel, key.format("model"), [SECOND])
    await manager.select(panel, key.format("shape"), ["2:3"])
    await manager.select(panel, key.format("style"), ["Ink"])
    chosen = (await bot.services.guilds.fetch(people.guild.id)).choices.channel_defaults
    assert chosen == {str(gallery.id): ChannelDefaults(model=SECOND, shape="2:3", style="Ink")}

    asked = await ada.slash("imagine", prompt=RED)
    await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    assert (request.spec.model, request.spec.steps, request.spec.sampler) == (PAINTBOX, 3, "DDIM")
    assert request.chosen_by == dict.fromkeys(("model", "shape", "steps", "sampler"), Origin.SERVER)

    asked = await there.slash("imagine", prompt=RED)
    message = await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    assert (request.spec.model, request.spec.steps) == (SECOND, 2)
    assert (request.spec.prompt, request.spec.negative) == (f"{RED}, in ink", "colour")
    assert request.chosen_by == {
        **dict.fromkeys(("model", "shape", "style"), Origin.CHANNEL),
        "steps": Origin.SERVER,
    }
    kim = discord.act_as(people.guild.add_member("kim"), gallery, locale="de")
    recipe = (await told(discord, await kim.click(message, "Recipe"))).text
    assert is_said_in("de", ORIGINS[Origin.CHANNEL], recipe)

    await told(discord, await ada.slash("me set", model=PAINTBOX, aspect="1:1", negative="fog"))
    asked = await there.slash("imagine", prompt=RED)
    await until_done(discord, asked)
    request = (await bot.job_of(asked)).request
    assert request.spec.model == PAINTBOX
    assert request.spec.width_px == request.spec.height_px
    assert request.spec.negative == "fog, colour"
    assert request.chosen_by == {
        **dict.fromkeys(("model", "shape", "negative"), Origin.MEMBER),
        "style": Origin.CHANNEL,
        **dict.fromkeys(("steps", "sampler"), Origin.SERVER),
    }


async def test_what_is_gone_or_not_allowed_is_passed_over_and_told(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada, general = people.ada, people.general.id
    stored = MemberPreferences(model="gone", shape="7:3", sampler="No such", negative="fog", language="xx")
    await bot.services.preferences.change(ada.user.id, lambda _old: stored)
    await set_server(bot, people, channel_defaults={str(general): ChannelDefaults(model=SECOND, style="Gone")})
    await bot.services.content_rules.add_rules(people.guild.id, [Rule(text="fog")], by=1)
    asked = await ada.slash("imagine", prompt=RED, steps=2)
    await until_done(discord, asked)
    notes = (await discord.wait_for(lambda: asked.followups))[0]
    assert notes.is_ephemeral
    for value, why in (("gone", GONE), ("7:3", GONE), ("No such", GONE), ("fog", FORBIDDEN)):
        assert is_said(IGNORED[Origin.MEMBER], notes.text.replace("\\", ""), value=value, why=why)
    assert is_said(IGNORED[Origin.CHANNEL], notes.text, value="Gone", why=GONE)
    request = (await bot.job_of(asked)).request
    assert (request.spec.model, request.spec.negative, request.spec.prompt) == (SECOND, "", RED)
    assert request.chosen_by == {"model": Origin.CHANNEL, "steps": Origin.TYPED}

    await bot.services.preferences.change(ada.user.id, lambda _old: MemberPreferences(model=SECOND, shape="16:9"))
    native = bot.generation.catalog.default.defaults.native_px
    await set_server(bot, people, models=(PAINTBOX,), max_side_px=native)
    asked = await ada.slash("imagine", prompt=RED, steps=2)
    await until_done(discord, asked)
    notes = (await discord.wait_for(lambda: asked.followups))[0]
    assert is_said(IGNORED[Origin.MEMBER], notes.text, value=SECOND, why=NOT_USED)
    assert is_said(IGNORED[Origin.MEMBER], notes.text.replace("\\", ""), value="16:9", why=TOO_LARGE)
    shown = (await told(discord, await ada.slash("me show"))).text
    assert is_said(NOT_USED, shown)


async def test_answers_are_private_where_the_member_wants_it_and_the_server_leaves_it_to_them(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    await told(discord, await ada.slash("me set", answers="only me"))
    num_public = sum(not each.is_ephemeral for each in people.general.messages)
    message = await until_done(discord, await ada.slash("imagine", prompt=RED, steps=2))
    assert message.is_ephemeral
    assert (await until_done(discord, await ada.click(message, button_of(message, "reroll")))).is_ephemeral
    assert sum(not each.is_ephemeral for each in people.general.messages) == num_public
    assert not (await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2))).is_ephemeral
    await set_server(bot, people, visibility=Visibility.ALWAYS_PUBLIC)
    assert not (await until_done(discord, await ada.slash("imagine", prompt=RED, steps=2))).is_ephemeral
    await told(discord, await ada.slash("me set", answers="everyone"))
    await set_server(bot, people, visibility=Visibility.PRIVATE)
    assert (await until_done(discord, await ada.slash("imagine", prompt=RED, steps=2))).is_ephemeral


async def test_two_members_in_their_languages_also_after_a_restart(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    assert is_said_in("de", CHANGED, (await told(discord, await people.ada.slash("me set", language="de"))).text)
    await bot.stop()
    await bot.start()
    asked = await people.ada.slash("imagine", prompt=RED, steps=2)
    message = await until_done(discord, asked)
    for who, language in ((people.ada, "de"), (people.bo, "en")):
        recipe = await told(discord, await who.click(message, button_of(message, "recipe")))
        assert is_said_in(language, "**Settings** {line}", recipe.text), "a button"
        refused = await told(discord, await who.slash("imagine", prompt=RED, size="large"))
        with use_language(language):
            assert is_said(SizeFormatError, refused.text)
    assert "Reroll" in {each["label"] for each in message.buttons}, "what all read is in the server's language"
    history = await told(discord, await people.ada.slash("history"))
    there = await until_shown(discord, await people.ada.click(history, "1 öffnen"))
    form = await press(people.ada, there, "alt")
    await people.ada.submit_modal(form, {"alt0": "A small one"})
    await discord.wait_for(lambda: alts(there) == ["A small one"])
    assert "Rezept" in {each["label"] for each in there.buttons}, "what one reads is in theirs when it changes, too"
    await told(discord, await people.ada.slash("me set", answers="only me"))
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    assert "Neu würfeln" in {each["label"] for each in message.buttons}, "what one reads is in theirs"


async def test_what_cannot_be_a_default_is_refused_and_changes_nothing(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    ada, gone = people.ada, people.guild.add_channel("gone")
    await bot.services.content_rules.add_rules(people.guild.id, [Rule(text="fog")], by=1)
    for options, kind in (
        ({}, NoPreferencesError),
        ({"model": "nonsense", "aspect": "1:1"}, UnknownModelError),
        ({"negative": "a <lora:x>"}, TagInModelWordsError),
        ({"negative": "fog", "aspect": "1:1"}, BlockedByRuleError),
        ({"negative": "naked child"}, MinorSafetyError),
    ):
        refused = await told(discord, await ada.slash("me set", **options))
        assert is_said(kind, refused.text), (options, refused.text)
    assert bot.services.preferences.chosen == {}
    panel = await told(discord, await manager.slash("settings"))
    await manager.click(panel, "atelier-set:channels:open")
    await discord.wait_for(lambda: is_said(PANEL_TITLE, panel.text, page=TITLE))
    await manager.select(panel, "atelier-set:channels:channel", [gone])
    await discord.wait_for(lambda: str(gone.id) in panel.text)
    for who, value in ((manager, "7:3"), (people.bo, "1:1")):
        key = f"atelier-set:channels:channel_shape:{gone.id}"
        refused = await told(discord, await who.forging.select(panel, key, [value]))
        assert is_said(NotOfferedError if who is manager else NotAManagerError, refused.text)
    gone.delete()
    refused = await told(discord, await manager.forging.select(panel, key, ["1:1"]))
    assert is_said(NotOfferedError, refused.text)
    assert (await bot.services.guilds.fetch(people.guild.id)).choices.channel_defaults == {}


async def test_privacy_shows_exports_and_deletes_them(discord: Sandbox, people: People, bot: LivingBot) -> None:
    ada = people.ada
    await told(discord, await ada.slash("me set", negative="green fog", language="de"))
    exported = await told(discord, await ada.slash("privacy", what="export"))
    tables = json.loads(exported.attachments[0].data)["tables"]
    assert [row["choices"]["negative"] for row in tables["member_preferences"]] == ["green fog"]
    await told(discord, await ada.slash("privacy", what="delete", sure="DELETE"))
    assert is_said(LEFT_OPEN, (await told(discord, await ada.slash("me show"))).text)
    await bot.stop()
    await bot.start()
    assert bot.services.preferences.chosen == {}


def test_a_passed_over_default_is_a_phrase_of_the_catalogue() -> None:
    for template in IGNORED.values():
        said = Phrase(template.template, value="x", why=GONE)
        assert said.template == template.template
