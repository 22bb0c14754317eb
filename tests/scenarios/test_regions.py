"""`<region:left:a red boat>` over the wire: painted, shown, repeated, changed, enlarged; refused, screened, paid."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from discord_sandbox import Upload
from generation.errors import AtelierError, BlockedByRuleError
from generation.images.codec import read_png_text
from generation.jobs.job import Job
from generation.requests.cost import image_cost
from generation.requests.errors import PromptTooLongError
from generation.requests.prompt_weights import SYNTAX
from generation.requests.recipe import Recipe
from generation.requests.region_errors import (
    EmptyRegionError,
    HiddenRegionError,
    RegionInNegativePromptError,
    RegionTagError,
    RestUndescribedError,
    TooManyRegionsError,
    UnknownAreaError,
)
from generation.requests.regions import AREAS
from generation.rules.rule import Rule
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.bot_harness import press, until_done, until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEFT, RIGHT = "<region:left:a red circle>", "<region:right:a blue square>"
PROMPT = f"on a green background {LEFT} {RIGHT}"


def read_pixels(job: Job) -> list[str]:
    return [image.recipe.pixels_sha256 for image in job.images if image.recipe is not None]


async def test_regions_are_painted_shown_and_kept_by_every_button(harness: Harness) -> None:
    ada = harness.people.ada
    asked = await ada.slash("imagine", prompt=PROMPT, seed=7, steps=2)
    message, job = await until_done(harness.discord, asked), await harness.bot.ended(asked)
    assert PROMPT in message.text.replace("\\", "") and asked.followups == [], "it is shown as it was typed"
    [image] = job.images
    assert image.spec.areas == (AREAS["left"], AREAS["right"]) and image.spec.syntax == SYNTAX
    assert image.charged == image_cost(image.spec) > image_cost(replace(image.spec, prompt=RED))
    shown = (await until_shown(harness.discord, await ada.click(message, "Recipe"))).text
    assert PROMPT in shown
    png = message.attachments[0].data
    recipe = Recipe.from_json(read_png_text(png)["atelier"])
    assert recipe.spec == image.spec and PROMPT in read_png_text(png)["parameters"]

    for options in ({"picture": f"{job.id}-0"}, {"file": Upload("a.png", png)}):
        assert read_pixels(await harness.bot.ended(await ada.slash("reproduce", **options))) == read_pixels(job)
    for action in ("reroll", "vary", "up", "detail", "zoom"):
        made = await harness.bot.ended(await press(ada, message, action))
        assert made.images[0].spec.areas == image.spec.areas and read_pixels(made) != read_pixels(job), action
    opened = await ada.click(message, "Remix")
    assert json.dumps(PROMPT) in json.dumps(opened.modal), "the form has it as it was typed"
    remixed = await harness.bot.ended(await ada.submit_modal(opened, {"prompt": f"{PROMPT} at night"}))
    assert remixed.images[0].spec.row_prompts[0] == "on a green background at night, a red circle"


async def test_each_picture_draws_its_own_regions_and_edits_change_them(harness: Harness) -> None:
    asked = await harness.people.ada.slash(
        "imagine", prompt="a wall <region:{left|right}:a [red|blue] {circle|square}>", seed=3, steps=2, count=4
    )
    job = await harness.bot.ended(asked)
    assert {image.spec.areas for image in job.images} == {(AREAS["left"],), (AREAS["right"],)}
    assert all(len(image.spec.wordings) == 2 for image in job.images)
    again = await harness.bot.ended(await harness.people.ada.slash("reproduce", picture=f"{job.id}-2"))
    assert read_pixels(again) == [read_pixels(job)[2]]


async def test_a_picture_to_start_from_has_regions_too(harness: Harness) -> None:
    ada, png = harness.people.ada, (await harness.paints()).attachments[0].data
    job = await harness.bot.ended(
        await ada.slash("img2img", prompt=PROMPT, image=Upload("a.png", png), strength=0.6, steps=3)
    )
    assert job.images[0].spec.areas and len(read_pixels(job)) == 1


async def test_what_cannot_be_read_costs_nothing(harness: Harness) -> None:
    kinds: dict[str, type[AtelierError]] = {
        f"{RED} <region:nowhere:a boat>": UnknownAreaError,
        f"{RED} <region:left: >": EmptyRegionError,
        f"{RED} {LEFT} {RIGHT} <region:top:a> <region:center:b>": TooManyRegionsError,
        f"{RED} <region:left:a <region:right:b>>": RegionTagError,
        f"{RED} ({LEFT}:1.2)": RegionTagError,
        f"{RED} {LEFT} {LEFT}": HiddenRegionError,
        f"{RED} --no dogs {LEFT}": RegionInNegativePromptError,
        LEFT: RestUndescribedError,
        f"{RED} <region:left:{'word ' * 300}>": PromptTooLongError,
        f"{RED} <region:{{here|there}}:a boat>": UnknownAreaError,
    }
    for prompt, kind in kinds.items():
        await refuses(harness, kind, prompt=prompt)


async def test_rules_hold_for_what_a_row_reads_and_for_what_is_written(harness: Harness) -> None:
    services, guild_id = harness.bot.services, harness.people.guild.id
    for rule, prompts in {
        "gremlin": ("a wall <region:left:a gremlin>", "a wall <region:left:a grem[lin|x]>"),
        "red gnome": ("a red <region:left:a boat> gnome", "a wall <region:left:a {red|dark red} gnome>"),
    }.items():
        await services.content_rules.add_rules(guild_id, [Rule(text=rule)], by=1)
        [found] = await services.content_rules.fetch_rules(guild_id)
        for prompt in prompts:
            await refuses(harness, BlockedByRuleError, prompt=prompt, count=2)
        await services.content_rules.remove_rule(guild_id, found.id or 0, by=1)


async def test_what_is_plain_in_a_region_is_named(harness: Harness) -> None:
    asked = await harness.people.ada.slash("imagine", prompt=f"{RED} <region:left:a (b:80%)>", steps=1)
    await until_done(harness.discord, asked)
    assert "(b:80%)" in (await answer(harness, asked)).replace("\\", "")
