"""LoRA and clip skip as options of a command, over the wire: offered while typing, painted, recorded, or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cogs.common.message_limits import MAX_OPTION
from discord_sandbox import Upload
from generation.images.codec import read_png_text
from generation.models.catalog import Catalog
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.errors import (
    AddonMismatchError,
    AddonNamedTwiceError,
    ClipSkipError,
    LoraWeightError,
    UnknownLoraError,
)
from generation.requests.prompt_addons import PromptAddon
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.bot_harness import button_of, until_done, until_shown
from tests.scenarios.test_work_before_the_gate import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def offered(harness: Harness, typed: str, **options: str) -> list[tuple[str, str]]:
    choices = await harness.people.ada.autocomplete("imagine", focused="lora", value=typed, **options)
    return [(choice["name"], choice["value"]) for choice in choices]


async def test_it_is_painted_and_all_that_is_recorded_knows_of_it(harness: Harness) -> None:
    ada = harness.people.ada
    asked = await ada.slash("imagine", prompt=RED, seed=7, steps=2, lora="neon:0.8", clip_skip=2)
    message = await until_done(harness.discord, asked)
    spec = (await harness.bot.job_of(asked)).images[0].spec
    assert (spec.prompt, [str(each) for each in spec.adapters], spec.clip_skip) == (RED, ["<lora:neon:0.8>"], 2)
    png = message.attachments[0].data
    parameters = read_png_text(png)["parameters"]
    assert parameters.startswith(f"{RED} <lora:neon:0.8>\n") and "Clip skip: 2, Lora hashes:" in parameters
    tagged = await ada.slash("imagine", prompt=f"{RED} <lora:neon:0,8>", seed=7, steps=2, clip_skip=2)
    with_tag, with_option = await harness.bot.ended(tagged), await harness.bot.job_of(asked)
    assert with_tag.request == with_option.request, "the option is the tag in another place"
    pixels = [each.recipe and each.recipe.pixels_sha256 for each in (with_tag.images[0], with_option.images[0])]
    assert pixels[0] == pixels[1] is not None
    for press in ("reroll", "vary"):
        pressed = await ada.click(message, button_of(message, press))
        made = (await harness.bot.ended(pressed)).images[0].spec
        assert (made.adapters, made.clip_skip) == (spec.adapters, 2)
    opened = await ada.click(message, "Remix")
    assert f'"{RED} <lora:neon:0.8>"' in json.dumps(opened.modal)
    remixed = (await harness.bot.ended(await ada.submit_modal(opened, {}))).images[0].spec
    assert (remixed.adapters, remixed.clip_skip) == (spec.adapters, 2)
    recipe = await until_shown(harness.discord, await ada.slash("recipe", file=Upload("a.png", png)))
    assert "<lora:neon:0.8>" in recipe.text and "Clip skip: 2" in recipe.text


async def test_pictures_from_pictures_take_it_too(harness: Harness) -> None:
    people = harness.people
    for command, files in (("img2img", {}), ("inpaint", {"mask": Upload("m.png", picture())})):
        asked = await people.ada.slash(
            command, prompt=RED, steps=2, lora="NEON", clip_skip=2, image=Upload("a.png", picture()), **files
        )
        spec = (await harness.bot.ended(asked)).images[0].spec
        assert ([str(each) for each in spec.adapters], spec.clip_skip) == (["<lora:neon:1>"], 2)


async def test_each_keystroke_offers_what_fits_the_model(harness: Harness) -> None:
    for typed in ("", "n", "ne", "neon"):
        assert await offered(harness, typed, prompt="x") == [("neon", "neon")]
    assert await offered(harness, "wi", prompt="x") == [], "it was made for another kind of model"
    assert await offered(harness, "neon:0.8", prompt="x") == [("neon:0.8", "neon:0.8")]
    assert await offered(harness, "neon, ", prompt="x") == []


async def test_the_chosen_model_decides_and_choices_keep_within_their_limits(harness: Harness) -> None:
    generation, people = harness.bot.generation, harness.people
    kept = generation.catalog
    wide = tuple(
        PromptAddon(
            name=f"style {number:02} " + "x" * 40,
            path=kept.default.path,
            sha256="a" * 64,
            context_width=2048,
            trigger_words=("a [glow]", "pink " * 30),
        )
        for number in range(40)
    )
    loras = (*kept.default.loras, *wide)
    other = replace(kept.default, name="big", context_width=2048)
    try:
        generation.catalog = Catalog(tuple(replace(each, loras=loras) for each in (kept.default, other)))
        assert await offered(harness, "style") == []
        found = await offered(harness, "style", model="big")
        assert [value for _, value in found] == [each.name for each in wide[:25]]
        assert all(len(name) <= MAX_OPTION for name, _ in found)
        assert found[0][0].startswith(f"{wide[0].name} [a (glow), pink") and found[0][0].endswith("…]")
        assert len(await offered(harness, f"{wide[0].name}, ", model="big")) == 25
        assert await offered(harness, f"{wide[0].name}, {wide[1].name}, ", model="big") == [], "none has room"
        choices = GuildPreferences(default_model="big")
        await harness.bot.choose(GuildSettings(guild_id=people.guild.id, choices=choices))
        assert [value for _, value in await offered(harness, "style 03")] == [wide[3].name]
        assert await offered(harness, "neon") == []
        assert await offered(harness, "neon", model="paintbox") == [("neon", "neon")]
        unfit = await people.ada.slash("imagine", prompt=RED, model="paintbox", lora=wide[0].name)
        said = await answer(harness, unfit)
        assert is_said(AddonMismatchError, said, made_for="Stable Diffusion XL", model="paintbox")
    finally:
        generation.catalog = kept
        await harness.bot.choose(GuildSettings(guild_id=people.guild.id, choices=GuildPreferences()))


async def test_what_cannot_be_used_is_refused_and_costs_nothing(harness: Harness) -> None:
    await refuses(harness, UnknownLoraError, lora="neno:0.8")
    await refuses(harness, AddonMismatchError, lora="wide")
    await refuses(harness, LoraWeightError, lora="neon:2.5")
    await refuses(harness, AddonNamedTwiceError, lora="neon", prompt=f"{RED} <lora:neon:0.5>")
    await refuses(harness, ClipSkipError, clip_skip=3)
