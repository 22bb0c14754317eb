"""/compare over the wire: typed, pressed, after a restart, and refused as a whole with one sentence."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from cogs.common.comparison import COLUMNS, COMPARED, ROWS
from cogs.common.errors import (
    NotANumberError,
    NothingToCompareError,
    TooManyAxesError,
    TooManyCellsError,
    ValueTwiceError,
)
from cogs.results._messages import TITLES
from discord_sandbox import Interaction, Message
from generation.errors import (
    AtelierError,
    BlockedByRuleError,
    QueueFullError,
    QuotaExceededError,
    UnknownModelError,
    WithheldError,
)
from generation.jobs.job import Job, Status
from generation.jobs.job_kind import JobKind
from generation.policy.errors import CountNotAllowedError, StepsNotAllowedError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.errors import NumberOutOfRangeError, UnknownLoraError, UnknownSamplerError
from generation.rules.rule import Rule
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer
from tests.scenarios.bot_harness import button_of, job_id_in, until_done, until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")
NINE = {"prompt": RED, "sampler": "Euler, heun, DDIM", "guidance": "1.5, 3, 5.5", "steps": "1", "seed": "7"}
FOUR = {"prompt": f"{RED} | a green square", "seed": "7-8", "steps": "1"}


async def compared(harness: Harness, **options: str) -> tuple[Interaction, Message, Job]:
    asked = await harness.people.ada.slash("compare", **options)
    message = await until_done(harness.discord, asked)
    return asked, message, await harness.bot.job_of(asked)


async def refuses(harness: Harness, kind: type[AtelierError], **options: str) -> None:
    """One private sentence; nothing reserved, nothing left, nothing seen by others."""
    before, seen = await harness.usage(), len(harness.people.bo.list_visible_messages())
    said = await answer(harness, await harness.people.ada.forging.slash("compare", **({"prompt": RED} | options)))
    assert is_said(kind, said), said
    assert "Incident" not in said, said
    assert await harness.usage() == before
    assert harness.bot.generation.list_live_ids() == []
    assert len(harness.people.bo.list_visible_messages()) == seen


def sheet_of(message: Message) -> Image.Image:
    return Image.open(io.BytesIO(message.attachments[0].data)).convert("RGB")


async def test_nine_cells_are_one_message_with_a_sheet(harness: Harness) -> None:
    _, message, job = await compared(harness, **NINE)
    assert is_said(TITLES[JobKind.COMPARED], message.text)
    names = [file.filename for file in message.attachments]
    assert names[0].endswith("-sheet.jpg") and len(names) == 10 and len(set(names)) == 10
    galleries = [each["items"] for each in message.list_components() if each["type"] == 12]
    assert [len(items) for items in galleries] == [1, 9]
    assert galleries[1][1]["description"] == f"2 of 9: Euler, guidance 3: {RED}"
    text = message.text.replace("\u00a0", " ").replace("\\", "")
    assert f"**{ROWS}** Euler · Heun · DDIM" in text
    assert f"**{COLUMNS}** guidance 1.5 · guidance 3 · guidance 5.5" in text
    assert "128 × 128 · paintbox · 1 step · seed 7 · for" in text
    assert [(image.spec.sampler, image.spec.guidance) for image in job.images] == [
        (sampler, guidance) for sampler in ("Euler", "Heun", "DDIM") for guidance in (1.5, 3.0, 5.5)
    ]
    files = [harness.bot.generation.files.get(image.file_sha256 or "") for image in job.images]
    assert [file.data for file in message.attachments[1:]] == files
    assert sheet_of(message).width > 3 * 300
    menus = [each for each in message.list_components() if each["type"] == 3]
    assert menus[0]["options"][8]["label"] == "Picture 9 · DDIM, guidance 5.5"
    assert "Remix" not in [button["label"] for button in message.buttons]


async def test_each_cell_has_its_own_buttons_and_recipe(harness: Harness) -> None:
    _, message, job = await compared(harness, **NINE)
    bo = harness.people.bo
    pressed = await bo.select(message, f"atelier-menu:{job.id}", [f"atelier:picture:{job.id}:5"])
    one = await until_shown(harness.discord, pressed)
    assert [file.data for file in one.attachments] == [message.attachments[6].data]
    assert "Heun" in one.text and "guidance 5.5" in one.text.replace("\u00a0", " ")
    recipe = await until_shown(harness.discord, await bo.click(one, "Recipe"))
    assert "Sampler: Heun" in recipe.text and f"/reproduce picture:{job.id}-5" in recipe.text
    up = await bo.select(message, f"atelier-menu:{job.id}:up", [f"atelier:up:{job.id}:5"])
    await until_done(harness.discord, up)
    assert (await harness.bot.job_of(up)).request.parent == f"{job.id}-5"
    opened = await bo.click(one, "Remix")
    sent = await bo.submit_modal(opened, {"prompt": "a green square"})
    await until_done(harness.discord, sent)
    (image,) = (await harness.bot.job_of(sent)).images
    assert (image.spec.prompt, image.spec.sampler, image.spec.guidance) == ("a green square", "Heun", 5.5)
    whole = await until_shown(harness.discord, await bo.click(message, "Recipe"))
    text = whole.text + "".join(file.data.decode() for file in whole.attachments)
    assert all(f"Sampler: {name}" in text for name in ("Euler", "Heun", "DDIM"))


async def test_prompts_and_seeds_and_a_reroll(harness: Harness) -> None:
    _, message, job = await compared(harness, **FOUR)
    assert [(image.spec.prompt, image.spec.seed) for image in job.images] == [
        (prompt, seed) for prompt in (RED, "a green square") for seed in (7, 8)
    ]
    assert f"> **1** · {RED}" in message.text and "> **2** · a green square" in message.text
    assert button_of(message, "up", 3)
    again = await harness.people.bo.click(message, "Reroll")
    await until_done(harness.discord, again)
    other = await harness.bot.job_of(again)
    first = other.images[0].spec.seed
    assert [image.spec.seed for image in other.images] == [first, (first + 1) % 2**32] * 2
    assert other.request.comparison == job.request.comparison and other.owner.user_id == harness.people.bo.user.id


async def test_one_axis_is_one_row(harness: Harness) -> None:
    _, message, job = await compared(harness, prompt=f"{RED} | 雪の中の狐", steps="1")
    assert job.request.comparison and job.request.comparison.rows is None
    assert COMPARED in message.text and "雪の中の狐" in message.text
    _, message, _ = await compared(harness, prompt=RED, lora="neon:0.4 | neon:1", steps="1")
    assert "neon:0.4" in message.text.replace("\\", "")


async def test_it_waits_out_a_restart_and_is_posted_once(harness: Harness) -> None:
    await harness.bot.hold_painting()
    asked = await harness.people.ada.slash("compare", **FOUR)
    await until_shown(harness.discord, asked)
    job_id = (await harness.bot.job_of(asked)).id
    await harness.bot.crash()
    harness.discord.clock.advance(20 * 60)
    await harness.bot.start()
    job = await harness.bot.generation.finished(job_id)
    assert [image.status for image in job.images] == [Status.DONE] * 4

    def posted() -> list[Message]:
        return [
            each
            for each in harness.people.general.messages
            if not each.is_deleted
            and any(file.filename.endswith("-sheet.jpg") for file in each.attachments)
            and job_id_in(each) == job_id
        ]

    await harness.discord.wait_for(posted)
    (message,) = posted()
    pressed = await harness.people.bo.select(message, f"atelier-menu:{job_id}", [f"atelier:zip:{job_id}"])
    assert (await until_shown(harness.discord, pressed)).attachments
    history = await until_shown(harness.discord, await harness.people.ada.slash("history", search="green"))
    assert RED in history.text


async def test_a_withheld_cell_is_named_on_the_sheet_and_never_drawn(harness: Harness) -> None:
    _, message, job = await compared(harness, prompt=f"{RED} | a withhold-image of a spider", steps="1")
    assert [image.status for image in job.images] == [Status.DONE, Status.WITHHELD]
    assert is_said(WithheldError, message.text) and len(message.attachments) == 2
    empty: Any = sheet_of(message).getpixel((16 + 368 + 180, 88 + 40))
    assert all(abs(value - grey) < 12 for value, grey in zip(empty, (49, 51, 61), strict=True))
    guild_id = harness.people.guild.id
    await harness.bot.choose(GuildSettings(guild_id=guild_id, safety=SafetyLevel.BLUR))
    _, message, job = await compared(harness, prompt=f"{RED} | a withhold-image of a spider", steps="1")
    galleries = [each["items"] for each in message.list_components() if each["type"] == 12]
    assert [[bool(item.get("spoiler")) for item in items] for items in galleries] == [[False], [False, True]]
    empty = sheet_of(message).getpixel((16 + 368 + 180, 88 + 40))
    assert all(abs(value - grey) < 12 for value, grey in zip(empty, (49, 51, 61), strict=True))
    await harness.bot.choose(GuildSettings(guild_id=guild_id))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, NothingToCompareError),
        ({"sampler": "Euler, nope"}, UnknownSamplerError),
        ({"model": "paintbox, nope"}, UnknownModelError),
        ({"lora": "neon | nope"}, UnknownLoraError),
        ({"guidance": "3, much"}, NotANumberError),
        ({"guidance": "3, nan"}, NumberOutOfRangeError),
        ({"guidance": "3, 1e999"}, NumberOutOfRangeError),
        ({"steps": "1-10"}, TooManyCellsError),
        ({"seed": "0-4294967295"}, TooManyCellsError),
        ({"steps": "1, 2", "seed": "1, 2", "guidance": "1, 2"}, TooManyAxesError),
        ({"seed": "7, 7"}, ValueTwiceError),
    ],
)
async def test_what_cannot_be_compared_is_refused_in_private(
    harness: Harness, options: dict[str, str], kind: type[AtelierError]
) -> None:
    await refuses(harness, kind, **options)


async def test_what_a_server_does_not_allow_of_one_cell_is_refused_of_all(harness: Harness) -> None:
    guild_id, services = harness.people.guild.id, harness.bot.services
    await harness.bot.choose(GuildSettings(guild_id=guild_id, choices=GuildPreferences(max_count=3, max_steps=20)))
    await refuses(harness, CountNotAllowedError, seed="1-4")
    await refuses(harness, StepsNotAllowedError, steps="1, 21")
    await harness.bot.choose(GuildSettings(guild_id=guild_id))
    await services.content_rules.add_rules(guild_id, [Rule(text="gremlin")], by=1)
    await refuses(harness, BlockedByRuleError, prompt="a fox | a cat | a gremlin")
    await services.content_rules.add_rules(guild_id, [], by=1, replacing=True)
    quota = Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=(await harness.usage()).num_images + 8)
    await services.quotas.set_quota(guild_id, quota)
    await refuses(harness, QuotaExceededError, **NINE)
    await services.quotas.remove_quota(guild_id, quota)


async def test_a_full_queue_takes_none_of_it(harness: Harness) -> None:
    await harness.bot.hold_painting()
    waiting = [await harness.people.ada.slash("imagine", prompt=RED, count=10, steps=1) for _ in range(6)]
    for asked in waiting:
        await until_shown(harness.discord, asked)
    before = await harness.usage()
    said = await answer(harness, await harness.people.ada.slash("compare", **NINE))
    assert is_said(QueueFullError, said)
    assert await harness.usage() == before
    harness.bot.go_on_painting()
    await harness.people.ada.slash("cancel")
    for asked in waiting:
        await until_done(harness.discord, asked)


async def test_names_are_completed_while_typing(harness: Harness) -> None:
    ada = harness.people.ada
    offered = await ada.autocomplete("compare", focused="sampler", value="Euler, he")
    assert [each["value"] for each in offered] == ["Euler, Heun"]
    offered = await ada.autocomplete("compare", focused="model", value="pa")
    assert [each["value"] for each in offered] == ["paintbox"]
