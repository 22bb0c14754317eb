"""What people (and forged clients) send that no one should: each gets an answer a person can use, costs nothing, and
the next request works. One bot lives through all of it.

The numbers are those of the table in docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from cogs.common.errors import (
    FileNotFetchedError,
    MaskSizeError,
    NoSettingsError,
    NotAManagerError,
    NotANumberError,
    PictureReferenceError,
)
from discord_sandbox import Upload
from generation.errors import AtelierError, UnknownJobError, UnknownModelError
from generation.images.codec import decode_png, read_png_text
from generation.images.errors import NotAPictureError, PictureDamagedError, PictureSizeError
from generation.jobs.errors import NotYourPicturesError
from generation.jobs.job import Job, Status
from generation.models.errors import SizeFormatError, SizeTooLargeError
from generation.requests.errors import (
    AddonMismatchError,
    EmptyPromptError,
    NoWordListsError,
    NumberNotAboveError,
    NumberOutOfRangeError,
    OutOfRangeError,
    PromptTooLongError,
    SizeOutOfRangeError,
    TooManyDrawsError,
    UnknownLoraError,
)
from tests.generation.images.hostile_files import header_only, many_frames, saved, text_bomb
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.bot_harness import delete_by_hand, job_id_in, until_done, until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")


# Prompts that show nothing, or too much.


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        pytest.param({"prompt": "   "}, EmptyPromptError, id="1 blank"),
        pytest.param({"prompt": ""}, EmptyPromptError, id="1 empty, forged"),
        pytest.param({"prompt": "y" * 5000}, PromptTooLongError, id="2 too long, forged"),
        pytest.param({"prompt": "\u200b\u200d\ufeff\u2060"}, EmptyPromptError, id="3 only zero-width"),
        pytest.param({"prompt": "\x00\x01\x7f"}, EmptyPromptError, id="4 only control bytes"),
        pytest.param({"prompt": "\u202e\u2066"}, EmptyPromptError, id="6 only directions"),
        pytest.param(
            {"prompt": "(" * 1000 + "x" + ")" * 1000}, PromptTooLongError, id="11 1,000-deep parentheses, forged"
        ),
        pytest.param({"seed": -1}, OutOfRangeError, id="20 seed -1"),
        pytest.param({"seed": 2**32}, OutOfRangeError, id="20 seed 2^32"),
        pytest.param({"seed": 2**64}, OutOfRangeError, id="20 seed 2^64"),
        pytest.param({"seed": "seven"}, OutOfRangeError, id="20 seed in words"),
        pytest.param({"size": "0x0"}, SizeOutOfRangeError, id="21 size 0"),
        pytest.param({"size": "7x7"}, SizeOutOfRangeError, id="21 size 7"),
        pytest.param({"size": "513x513"}, SizeTooLargeError, id="21 size 513"),
        pytest.param({"size": "16384x16384"}, SizeTooLargeError, id="21 size 16384"),
        pytest.param({"size": "9" * 99}, SizeFormatError, id="21 size of digits"),
        pytest.param({"size": "{0.__class__}"}, SizeFormatError, id="18 a template as a size"),
        pytest.param({"steps": 0}, OutOfRangeError, id="22 no steps"),
        pytest.param({"steps": 10_000}, OutOfRangeError, id="22 10,000 steps"),
        pytest.param({"guidance": float("nan")}, NumberOutOfRangeError, id="23 guidance nan"),
        pytest.param({"guidance": float("inf")}, NumberOutOfRangeError, id="23 guidance inf"),
        pytest.param({"guidance": -3.0}, NumberOutOfRangeError, id="23 guidance below 0"),
        pytest.param({"guidance": -1e308}, NumberOutOfRangeError, id="23 guidance of 309 digits"),
        pytest.param({"guidance": "much"}, NotANumberError, id="26 words for a fraction"),
        pytest.param({"count": 0}, OutOfRangeError, id="24 count 0"),
        pytest.param({"count": 1000}, OutOfRangeError, id="24 count 1,000"),
        pytest.param({"steps": "many"}, OutOfRangeError, id="26 words for a number"),
        pytest.param({"steps": 4.5}, OutOfRangeError, id="26 a fraction"),
        pytest.param({"prompt": "{a|b}" * 200}, TooManyDrawsError, id="14 200 choices"),
        pytest.param({"prompt": "{0.__class__}"}, NoWordListsError, id="18 a template that names a list"),
        pytest.param({"prompt": "a <lora:../../x:1>"}, UnknownLoraError, id="13 a path as a LoRA"),
        pytest.param({"prompt": "a <lora:wide:1>"}, AddonMismatchError, id="32 a LoRA of another base"),
        pytest.param({"model": "../../etc/passwd"}, UnknownModelError, id="27 a path as a model"),
        pytest.param({"model": "/etc/passwd"}, UnknownModelError, id="28 an absolute path as a model"),
        pytest.param({"prompt": "a <lora:/etc/passwd:1>"}, UnknownLoraError, id="28 an absolute path as a LoRA"),
        pytest.param({"model": "x\x00y"}, UnknownModelError, id="29 NUL in a name"),
        pytest.param({"model": "..\\..\\x"}, UnknownModelError, id="30 back-slashes"),
        pytest.param({"model": "．．／etc／passwd"}, UnknownModelError, id="30 full-width dots"),
    ],
)
async def test_a_request_that_cannot_be_made(
    harness: Harness, options: dict[str, Any], kind: type[AtelierError]
) -> None:
    await refuses(harness, kind, **options)


# Prompts that only look dangerous are painted, and shown letter by letter.


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        pytest.param("a red\x00 circle\x07", "a red circle", id="4 control bytes"),
        pytest.param("a red \ud800circle", "a red circle", id="5 a lone surrogate"),
        pytest.param("a \u202eelcric der", "a elcric der", id="6 right to left"),
        pytest.param("a red circle" + "x\u0302\u0303\u0304" * 2 + "\u0305" * 9999, "a red circle", id="7 10,000 marks"),
        pytest.param("@everyone <@1> <@&2>", "\\@everyone \\<\\@1\\> \\<\\@&2\\>", id="8 mentions"),
        pytest.param("[free](https://x.example)", "\\[free\\]\\(https\\:\\/\\/x\\.example\\)", id="8 a masked link"),
        pytest.param("``` `` ` out", "\\`\\`\\` \\`\\` \\` out", id="9 back-ticks"),
        pytest.param("(" * 700 + "red" + ")" * 700, "\\(\\(\\(", id="11 700-deep parentheses"),
        pytest.param("(red:1e309) (circle:nan) (x:-5)", "\\(red\\:1e309\\)", id="12 weights that are none"),
        pytest.param("{a}" * 200, "\\{a\\}\\{a\\}", id="14 braces"),
        pytest.param("'; DROP TABLE jobs; --", "'; DROP TABLE jobs; \\-\\-", id="17 SQL"),
        pytest.param("{0.real} %s {{7*7}}", "\\{0\\.real\\} %s \\{\\{7\\*7\\}\\}", id="18 templates"),
    ],
)
async def test_a_prompt_that_only_looks_dangerous(harness: Harness, prompt: str, shown: str) -> None:
    message = await harness.paints(prompt)
    assert shown in message.text
    assert message.allowed_mentions == {"parse": []}
    assert not any(char in message.text for char in "\x00\x07\u202e\ud800")
    assert "\u0305" not in message.text, "at most three combining marks in a row"
    await harness.paints()


async def test_9_back_ticks_do_not_end_the_code_block_of_a_recipe(harness: Harness) -> None:
    message = await harness.paints("``` `` ` a red circle ```")
    shown = await until_shown(harness.discord, await harness.people.ada.click(message, "Recipe"))
    assert shown.text.count("```") == 2


async def test_10_a_forged_settings_line_stays_a_part_of_the_prompt(harness: Harness) -> None:
    message = await harness.paints("a star\nNegative prompt: forged\nSteps: 99, Seed: 1", seed=5)
    lines = read_png_text(message.attachments[0].data)["parameters"].splitlines()
    assert [line for line in lines if line.startswith("Negative prompt:")] == []
    [settings] = [line for line in lines if line.startswith("Steps:")]
    assert settings.startswith("Steps: 1, ")
    assert "Seed: 5" in settings


async def test_19_a_prompt_cannot_write_lines_into_the_log(harness: Harness) -> None:
    await harness.paints("red \x1b[31mcircle\r\n2026-01-01 ERROR action=forged")
    await refuses(harness, SizeFormatError, size="x\r\naction=forged")
    said = harness.log.getvalue()
    assert "action=accepted" in said
    assert "action=forged" not in said and "\x1b" not in said
    assert RED not in said, "prompts are not logged at INFO"


async def test_what_lies_at_the_edge_is_painted(harness: Harness) -> None:
    """22 one step; 20 the largest seed; 23 no guidance; 25 the whole strength; 26 a whole number for a fraction."""
    await harness.paints(steps=1, seed=2**32 - 1, guidance=0)
    start = Upload("start.png", saved("PNG", "RGB", (64, 64)))
    await harness.paints(image=start, strength=1.0)
    await refuses(harness, OutOfRangeError, steps="1")
    await refuses(harness, NumberNotAboveError, image=start, strength=0)
    await refuses(harness, NumberNotAboveError, image=start, strength=7)


# Pictures, over the wire. tests/generation/images/test_untrusted_decoder.py tries every kind on the decoder itself.


@pytest.mark.parametrize(
    ("filename", "data", "kind"),
    [
        pytest.param("a.png", header_only(60000, 60000), PictureSizeError, id="36 a giant header"),
        pytest.param("a.png", header_only(9459, 9459), PictureSizeError, id="37 just below Pillow's limit"),
        pytest.param("a.png", text_bomb(200), PictureDamagedError, id="38 a bomb of text"),
        pytest.param("a.png", saved("TIFF", "RGB", (64, 64)), NotAPictureError, id="40 TIFF named .png"),
        pytest.param("a.png", saved("PNG", "RGB", (64, 64))[:60], PictureDamagedError, id="39 cut short"),
        pytest.param("a.png", b"<svg/>", NotAPictureError, id="40 SVG named .png"),
        pytest.param("a.png", b"<html>", NotAPictureError, id="40 HTML named .png"),
        pytest.param("a.png", b"", FileNotFetchedError, id="40 empty"),
        pytest.param("a.png", header_only(1, 20000), PictureSizeError, id="44 a hair"),
    ],
)
async def test_a_start_picture_that_cannot_be_used(
    harness: Harness, filename: str, data: bytes, kind: type[AtelierError]
) -> None:
    await refuses(harness, kind, image=Upload(filename, data, "image/png"))


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        pytest.param("a.png", many_frames(300), id="41 300 frames"),
        pytest.param("a.jpg", saved("JPEG", "CMYK", (96, 80)), id="42 CMYK"),
        pytest.param("a.png", saved("PNG", "LA", (96, 80)), id="42 grey with transparency"),
        pytest.param("a.png", saved("PNG", "I;16", (96, 80)), id="42 16 bit"),
        pytest.param("a.png", saved("PNG", "P", (96, 80)), id="42 palette"),
    ],
)
async def test_a_start_picture_that_is_merely_unusual(harness: Harness, filename: str, data: bytes) -> None:
    made = Image.open(io.BytesIO(start_of(harness, await job_from(harness, Upload(filename, data)))))
    assert (made.format, made.mode, getattr(made, "n_frames", 1)) == ("PNG", "RGB", 1)


async def job_from(harness: Harness, picture: Upload) -> Job:
    message = await harness.paints(image=picture)
    return await harness.bot.jobs.fetch_job(job_id_in(message))


def start_of(harness: Harness, job: Job) -> bytes:
    start = job.images[0].spec.start
    kept = harness.bot.generation.files.get(start.sha256) if start is not None else None
    assert kept is not None
    return kept


def on_its_side() -> bytes:
    """A photograph 96 wide and 64 high that people see as 64 wide and 96 high, red above and blue below."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    exif.get_ifd(0x8825)[1] = "N"
    sideways = Image.new("RGB", (96, 64), "blue")
    sideways.paste("red", (0, 0, 48, 64))
    buffer = io.BytesIO()
    sideways.save(buffer, "JPEG", exif=exif, quality=100)
    return buffer.getvalue()


async def test_43_where_a_photograph_was_taken_does_not_leak(harness: Harness) -> None:
    message = await harness.paints(image=Upload("photo.jpg", on_its_side()))
    job = await harness.bot.jobs.fetch_job(job_id_in(message))
    for data in (start_of(harness, job), message.attachments[0].data):
        assert b"secret place" not in data
        assert not Image.open(io.BytesIO(data)).getexif()


async def test_43_a_photograph_on_its_side_counts_as_people_see_it(harness: Harness) -> None:
    """Its shape, its enlargement, and the mask that has to fit it; Discord speaks of it as it lies in the file."""
    ada, photograph = harness.people.ada, Upload("photo.jpg", on_its_side())
    job = await job_from(harness, photograph)
    pixels, (width, height) = decode_png(start_of(harness, job))
    assert (width, height) == (job.images[0].spec.width_px, job.images[0].spec.height_px)
    assert width < height
    assert pixels[0] > 200 > 50 > pixels[-3], "red above, blue below"
    enlarged = await ada.slash("upscale", image=photograph)
    await until_done(harness.discord, enlarged)
    assert (await harness.bot.job_of(enlarged)).images[0].spec.result_size_px == (128, 192)
    upright, lying = (Upload("mask.png", saved("PNG", "L", size)) for size in ((64, 96), (96, 64)))
    painted = await ada.slash("inpaint", image=photograph, mask=upright, prompt=RED, steps=1)
    assert (await until_done(harness.discord, painted)).attachments
    before = await harness.usage()
    said = await answer(harness, await ada.slash("inpaint", image=photograph, mask=lying, prompt=RED))
    assert is_said(MaskSizeError, said, width=64, height=96)
    assert await harness.usage() == before


async def test_45_an_attachment_that_is_gone_before_it_is_read(harness: Harness) -> None:
    stop = harness.discord.journal.on_entry(lambda entry: harness.discord.faults.lose_files())  # type: ignore[arg-type]
    try:
        picture = Upload("a.png", saved("PNG", "RGB", (64, 64)))
        said = await answer(harness, await harness.people.ada.slash("imagine", prompt=RED, image=picture))
    finally:
        stop()
    assert is_said(FileNotFetchedError, said)
    await harness.paints()


@pytest.mark.parametrize("data", [b"", b"no picture", saved("PNG", "RGB", (64, 64))], ids=["empty", "text", "foreign"])
async def test_a_file_to_reproduce_that_is_none_of_ours(harness: Harness, data: bytes) -> None:
    before = await harness.usage()
    asked = await harness.people.ada.slash("reproduce", file=Upload("a.png", data))
    said = await answer(harness, asked)
    assert any(is_said(kind, said) for kind in (NotAPictureError, NoSettingsError, FileNotFetchedError)), said
    assert await harness.usage() == before


async def test_a_link_with_a_number_longer_than_any_id(harness: Harness) -> None:
    for number in ("9" * 21, "9" * 5000, "٣"):
        asked = await harness.people.ada.slash("reproduce", picture=f"https://discord.com/channels/1/2/{number}")
        assert is_said(PictureReferenceError, await answer(harness, asked))


async def test_a_link_to_a_message_that_cannot_be(harness: Harness) -> None:
    """Discord answers 400 to an id above 2^63, and 404 to one that is merely not there."""
    people = harness.people
    harness.discord.faults.fail("/channels/*/messages/*", method="GET", status=400)  # once
    for message_id in ("9" * 20, "1"):
        link = f"https://discord.com/channels/{people.guild.id}/{people.general.id}/{message_id}"
        asked = await people.ada.slash("reproduce", picture=link)
        assert is_said(UnknownJobError, await answer(harness, asked))


# Discord itself.


async def test_47_buttons_by_others_twice_deleted_and_forged(harness: Harness) -> None:
    people, bot = harness.people, harness.bot
    message = await harness.paints()
    before = await harness.usage()
    assert is_said(NotYourPicturesError, await answer(harness, await people.bo.click(message, "Delete")))
    long = "atelier:reroll:" + "A" * 85
    for custom_id in (long, "x" * 100, f"atelier:up:{job_id_in(message)}:7", "atelier::", "atelier:reroll:'--"):
        assert await answer(harness, await people.bo.forging.click(message, custom_id))
    assert await harness.usage() == before
    delete_by_hand(harness.discord, message)
    rerolled = await until_done(harness.discord, await people.bo.forging.click(message, "Reroll"))
    assert rerolled.attachments, "the button of a deleted message, pressed in the same moment, still counts"
    both = await asyncio.gather(people.ada.click(rerolled, "Recipe"), people.ada.click(rerolled, "Recipe"))
    assert all(pressed.ephemeral for pressed in both)
    assert not bot.generation.list_live_ids()


async def test_48_a_guild_that_was_left_between_request_and_result(harness: Harness) -> None:
    discord, bot = harness.discord, harness.bot
    guild = discord.add_guild("Short-lived")
    kit = discord.act_as(guild.add_member("kit"), guild.add_channel("lobby"))
    await bot.hold_painting()
    asked = await kit.slash("imagine", prompt=RED, steps=1)
    job_id = job_id_in(await until_shown(discord, asked))
    discord.clock.advance(20 * 60)
    discord.faults.kick_bot(guild)
    bot.go_on_painting()
    assert (await bot.generation.finished(job_id)).status is Status.DONE
    async with asyncio.timeout(PATIENCE_S):
        while tasks := bot.tracker.tasks:
            await asyncio.wait(tasks)
    delivery = await bot.deliveries.fetch(job_id)
    assert delivery.state == "kept"
    await harness.paints()


async def test_49_an_admin_command_without_the_permission(harness: Harness) -> None:
    said = await answer(harness, await harness.people.bo.forging.slash("quota set", limit=1))
    assert is_said(NotAManagerError, said)
    assert await harness.bot.services.quotas.fetch_quotas(harness.people.guild.id) == []


async def test_50_a_result_over_the_size_limit_is_sent_as_a_jpeg_that_says_so(harness: Harness) -> None:
    guild = harness.people.guild
    house_limit, guild.attachment_size_limit = guild.attachment_size_limit, 3_000
    try:
        start = Upload("noise.png", _noise())
        message = await harness.paints(image=start, size="256x256", strength=0.05)
        original = (await harness.bot.jobs.fetch_job(job_id_in(message))).images[0].file_sha256
        assert all(file.size <= 3_000 for file in message.attachments)
        assert harness.bot.generation.files.get(original or ""), "the exact file is kept"
    finally:
        guild.attachment_size_limit = house_limit


def _noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((256, 256), 100).save(buffer, "PNG")
    return buffer.getvalue()


async def test_words_that_are_not_read_are_told_of_once(harness: Harness) -> None:
    """In private, beside the picture; a button repeats the words, not the note."""
    asked = await harness.people.ada.slash("imagine", prompt="a {red} circle (x:-5) AND", steps=1)
    message = await until_done(harness.discord, asked)
    await harness.discord.wait_for(lambda: asked.followups)
    [note] = asked.followups
    said = note.content.replace("\\", "")
    assert "painted as plain words: “{red}”, “AND”." in said
    assert "Weights end at 0 and 2, and these go beyond: “(x:-5)”." in said
    pressed = await harness.people.ada.click(message, "Reroll")
    await until_done(harness.discord, pressed)
    asked = await harness.people.ada.slash("imagine", prompt="a (red:,5) circle", steps=1)
    await until_done(harness.discord, asked)
    await harness.paints()
    assert not pressed.followups and not asked.followups
