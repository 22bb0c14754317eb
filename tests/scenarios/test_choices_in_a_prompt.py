"""`{a|b}` and `__list__` over the wire: written by managers, drawn for each picture, recorded, repeated, refused."""

from __future__ import annotations

import json

import pytest

from cogs.common.errors import NotAManagerError
from discord_sandbox import Interaction, Message, Upload
from generation.errors import AtelierError, BlockedByRuleError, UnknownModelError
from generation.images.codec import read_png_text
from generation.jobs.job import Job
from generation.requests.errors import (
    ChoicesTooDeepError,
    EmptyPromptError,
    EmptyWordListError,
    FlagValueError,
    OutOfRangeError,
    PromptTooLongError,
    TooManyDrawsError,
    TooManyPromptEditsError,
    UnknownLoraError,
    UnknownWordListError,
    WordListLoopError,
    WordListNameError,
)
from generation.requests.prompt_weights import SYNTAX
from generation.requests.recipe import Recipe
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.bot_harness import button_of, job_id_in, until_done, until_shown
from tests.scenarios.test_work_before_the_gate import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMPT = "a {red|green|blue} __shape__"


async def write(harness: Harness, name: str, *lines: str) -> str:
    manager = harness.manager()
    opened = await manager.slash("list add", name=name)
    sent = await manager.submit_modal(opened, {"lines": "\n".join(lines)})
    return await answer(harness, sent)


async def write_shapes(harness: Harness) -> None:
    await write(harness, "shape", "circle", "square", "{large|small} triangle")


def list_words(job: Job) -> list[str]:
    return [image.spec.prompt for image in job.images]


def read_pixels(job: Job) -> list[str]:
    return [image.recipe.pixels_sha256 for image in job.images if image.recipe is not None]


async def press(harness: Harness, message: Message, action: str) -> Job:
    return await harness.bot.ended(await harness.people.ada.click(message, button_of(message, action)))


async def remix(harness: Harness, message: Message, **answers: str) -> tuple[Interaction, Job]:
    opened = await harness.people.ada.click(message, "Remix")
    return opened, await harness.bot.ended(await harness.people.ada.submit_modal(opened, answers))


async def test_each_picture_has_words_of_its_own_and_repeats_them(harness: Harness) -> None:
    await write_shapes(harness)
    ada = harness.people.ada
    asked = await ada.slash("imagine", prompt=PROMPT, seed=7, steps=1, count=4)
    message, job = await until_done(harness.discord, asked), await harness.bot.ended(asked)
    assert all(each in message.text for each in ("red", "green", "blue")), "the message shows what was asked for"
    words = list_words(job)
    assert len(set(words)) > 1 and not any("{" in each or "__" in each for each in words)
    assert [each.description for each in message.attachments] != []
    assert all(each in str(message.attachments[n].description) for n, each in enumerate(words))

    again = await harness.bot.ended(await ada.slash("imagine", prompt=PROMPT, seed=7, steps=1, count=4))
    assert (list_words(again), read_pixels(again)) == (words, read_pixels(job)), "it is drawn by the seed"
    alone = await harness.bot.ended(await ada.slash("imagine", prompt=PROMPT, seed=9, steps=1))
    assert list_words(alone) == [words[2]], "and by the seed of each picture alone"

    rerolled = await press(harness, message, "reroll")
    assert rerolled.request.spec.prompt == PROMPT and rerolled.request.spec.seed != 7
    varied = await press(harness, message, "vary")
    assert set(list_words(varied)) == {words[0]}, "a variation is one of that picture"
    opened, remixed = await remix(harness, message, prompt=f"{PROMPT} at night", seed="7")
    assert f'"{PROMPT}"' in json.dumps(opened.modal)
    assert list_words(remixed) == [f"{each} at night" for each in words]


async def test_a_recipe_has_both_and_needs_no_list(harness: Harness) -> None:
    await write_shapes(harness)
    people = harness.people
    asked = await people.ada.slash("imagine", prompt=PROMPT, negative="{dark|pale}", seed=11, steps=1, count=2)
    message, job = await until_done(harness.discord, asked), await harness.bot.ended(asked)
    shown = (await until_shown(harness.discord, await people.ada.click(message, "Recipe"))).text
    assert PROMPT in shown and all(f"{11 + n}: {each}" in shown for n, each in enumerate(list_words(job)))
    png = message.attachments[1].data
    recipe = Recipe.from_json(read_png_text(png)["atelier"])
    assert recipe.spec.prompt == list_words(job)[1] and recipe.spec.negative in ("dark", "pale")
    assert recipe.spec.template and (recipe.spec.template.prompt, recipe.spec.template.negative) == (
        PROMPT,
        "{dark|pale}",
    )
    manager = harness.manager()
    assert "Removed" in await answer(harness, await manager.slash("list remove", name="shape"))
    for options in ({"picture": f"{job.id}-1"}, {"file": Upload("a.png", png)}):
        made = await harness.bot.ended(await people.ada.slash("reproduce", **options))
        assert (list_words(made), read_pixels(made)) == ([recipe.spec.prompt], [recipe.pixels_sha256])
        assert made.images[0].recipe and made.images[0].recipe.spec == recipe.spec
    await refuses(harness, UnknownWordListError if await has_lists(harness) else AtelierError, prompt=PROMPT)
    await write_shapes(harness)
    reproduced = await until_done(harness.discord, await people.ada.slash("reproduce", picture=f"{job.id}-1"))
    rerolled = await press(harness, reproduced, "reroll")
    assert rerolled.request.spec.prompt == PROMPT, "a reproduction knows what it was drawn from"


async def has_lists(harness: Harness) -> bool:
    return bool((await harness.bot.services.guilds.fetch(harness.people.guild.id)).choices.word_lists)


async def test_what_cannot_be_drawn_costs_nothing(harness: Harness) -> None:
    await write_shapes(harness)
    await write(harness, "loop", "a __pool__")
    await write(harness, "pool", "b __loop__")
    await write(harness, "ten", " ".join(["__nine__"] * 20))
    await write(harness, "nine", " ".join(["{a|b}"] * 20))
    await write(harness, "long", "word " * 100)
    for prompt, kind in {
        "a __cat__": UnknownWordListError,
        "a __loop__": WordListLoopError,
        "a __ten__": TooManyDrawsError,
        "__long__ " * 9: PromptTooLongError,
        "{|}": EmptyPromptError,
        "{a|<lora:none:1>} {<lora:none>|<lora:none>}": UnknownLoraError,
        "{a|" * 9 + "b" + "}" * 9: ChoicesTooDeepError,
    }.items():
        await refuses(harness, kind, prompt=prompt)


async def test_rules_hold_for_what_is_drawn_and_for_what_is_shown(harness: Harness) -> None:
    services, guild_id = harness.bot.services, harness.people.guild.id
    await write(harness, "pet", "grem{lin|ling}")
    await services.content_rules.add_rules(guild_id, [Rule(text="gremlin")], by=1)
    [rule] = await services.content_rules.fetch_rules(guild_id)
    await refuses(harness, BlockedByRuleError, prompt="a __pet__", seed=1, count=4)
    await refuses(harness, BlockedByRuleError, prompt="a {cat|gremlin}")
    said = await write(harness, "imp", "an imp", "a gremlin")
    assert is_said(BlockedByRuleError, said)
    await services.content_rules.remove_rule(guild_id, rule.id or 0, by=1)


async def test_only_managers_write_lists_and_bad_ones_are_refused(harness: Harness) -> None:
    people, manager = harness.people, harness.manager()
    await write_shapes(harness)
    for asked in (
        await people.ada.forging.slash("list add", name="mine"),
        await people.ada.forging.slash("list remove", name="shape"),
    ):
        assert is_said(NotAManagerError, await answer(harness, asked))
    shown = await answer(harness, await people.ada.slash("list show"))
    assert "`__shape__`" in shown and "3 lines" in shown
    assert "{large|small} triangle" in await answer(harness, await people.ada.slash("list show", name="__Shape__"))
    opened = await manager.slash("list add", name="SHAPE")
    assert "square" in json.dumps(opened.modal), "what there is can be changed"
    forged = await people.ada.forging.submit_modal(opened, {"lines": "x"})
    assert is_said(NotAManagerError, await answer(harness, forged))
    assert is_said(WordListNameError, await answer(harness, await manager.slash("list add", name="a b")))
    assert is_said(EmptyWordListError, await write(harness, "blank", "  ", " "))
    assert await manager.autocomplete("list remove", focused="name", value="sha") != []


async def test_a_job_is_drawn_once_and_goes_on_after_a_restart(harness: Harness) -> None:
    await write_shapes(harness)
    bot, ada = harness.bot, harness.people.ada
    await bot.hold_painting()
    asked = await ada.slash("imagine", prompt=PROMPT, seed=3, steps=1, count=2)
    await until_shown(harness.discord, asked)
    waiting = await bot.job_of(asked)
    await write(harness, "shape", "nothing else")
    await bot.crash()
    await bot.start()
    message = await until_done(harness.discord, asked)
    assert list_words(await bot.job_of(asked)) == list_words(waiting)
    rerolled = await press(harness, message, "reroll")
    assert all(each.endswith("nothing else") for each in list_words(rerolled)), "a new seed draws from today's lists"


async def test_old_prompts_are_not_drawn(harness: Harness) -> None:
    shown = await harness.paints(f"{RED} \\{{a|b\\}} {{word}}")
    job = await harness.bot.services.jobs.fetch_job(job_id_in(shown))
    assert list_words(job) == [f"{RED} \\{{a|b\\}} {{word}}"] and not job.images[0].spec.template


async def test_flags_are_the_options_and_a_clash_is_told(harness: Harness) -> None:
    ada = harness.people.ada
    asked = await ada.slash(
        "imagine", prompt=f"{RED} --ar 3:2 --no dogs --seed 7 --steps 2 --cfg 4 --n 2 --stylize 100"
    )
    job = await harness.bot.ended(asked)
    typed = {"prompt": RED, "aspect": "3:2", "negative": "dogs", "seed": 7, "steps": 2, "guidance": 4.0, "count": 2}
    assert job.request == (await harness.bot.ended(await ada.slash("imagine", **typed))).request
    await harness.discord.wait_for(lambda: asked.followups)
    assert "stylize 100" in asked.followups[-1].text and "I left these out" in asked.followups[-1].text
    clash = await ada.slash("imagine", prompt=f"{RED} --seed 8 --ar 4:3 --no cats", seed=7, negative="dogs", steps=1)
    made = (await harness.bot.ended(clash)).request.spec
    assert (made.seed, made.negative, made.prompt) == (7, "dogs, cats", RED)
    await harness.discord.wait_for(lambda: clash.followups)
    assert "seed 8" in clash.followups[-1].text and "3:2 instead of" in clash.followups[-1].text
    from_picture = await ada.slash("img2img", prompt=f"{RED} --seed 9", steps=1, image=Upload("a.png", picture()))
    assert (await harness.bot.ended(from_picture)).request.spec.seed == 9
    for prompt, kind in {
        f"{RED} --seed x": FlagValueError,
        f"{RED} --steps 900": OutOfRangeError,
        f"{RED} --n 99": OutOfRangeError,
        f"{RED} --model none": UnknownModelError,
        "--seed 3": EmptyPromptError,
    }.items():
        await refuses(harness, kind, prompt=prompt)
    remixed = await remix(harness, await harness.paints(), prompt=f"{RED} --ar 3:2")
    assert remixed[1].request.spec.prompt.endswith("--ar 3:2"), "a form has fields for these"


async def test_a_prompt_that_changes_by_the_step_is_painted_repeated_and_screened(harness: Harness) -> None:
    guild_id, ada = harness.people.guild.id, harness.people.ada
    prompt = "a [red|blue] circle BREAK [on a blue background:night:0.5]"
    asked = await ada.slash("imagine", prompt=prompt, seed=5, steps=4)
    message, job = await until_done(harness.discord, asked), await harness.bot.ended(asked)
    recipe = Recipe.from_json(read_png_text(message.attachments[0].data)["atelier"])
    assert (recipe.spec.prompt, recipe.spec.syntax) == (prompt, SYNTAX) and asked.followups == []
    await harness.bot.stop()
    await harness.bot.start()
    for options in ({"picture": f"{job.id}-0"}, {"file": Upload("a.png", message.attachments[0].data)}):
        again = await harness.bot.ended(await ada.slash("reproduce", **options))
        assert read_pixels(again) == read_pixels(job)
    await harness.bot.services.content_rules.add_rules(guild_id, [Rule(text="gremlin")], by=1)
    [rule] = await harness.bot.services.content_rules.fetch_rules(guild_id)
    await refuses(harness, BlockedByRuleError, prompt="a grem[lin:x:0.5]")
    await refuses(harness, BlockedByRuleError, prompt="a {grem[lin|x]|grem[lin|y]}")
    await harness.bot.services.content_rules.remove_rule(guild_id, rule.id or 0, by=1)
    await refuses(harness, TooManyPromptEditsError, prompt="[a|b|c|d] [e|f|g|h|i]", steps=30)
