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
    NumberNotAboveError,
    NumberOutOfRangeError,
    OutOfRangeError,
    PromptTooLongError,
    SizeOutOfRangeError,
    UnknownLoraError,
)
from tests.generation.images.hostile_files import header_only, many_frames, saved, text_bomb
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bad_input_harness import RED, House, answer, refuses
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
async def test_a_request_that_cannot_be_made(house: House, options: dict[str, Any], kind: type[AtelierError]) -> None:
    await refuses(house, kind, **options)


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
        pytest.param("{a|b}" * 200, "\\{a\\|b\\}", id="14 braces"),
        pytest.param("'; DROP TABLE jobs; --", "'; DROP TABLE jobs; \\-\\-", id="17 SQL"),
        pytest.param("{0.__class__} %s {{7*7}}", "\\{0\\.\\_\\_class\\_\\_\\} %s \\{\\{7\\*7\\}\\}", id="18 templates"),
    ],
)
async def test_a_prompt_that_only_looks_dangerous(house: House, prompt: str, shown: str) -> None:
    message = await house.paints(prompt)
    assert shown in message.text
    assert message.allowed_mentions == {"parse": []}
    assert not any(char in message.text for char in "\x00\x07\u202e\ud800")
    assert "\u0305" not in message.text, "at most three combining marks in a row"
    await house.paints()


async def test_9_back_ticks_do_not_end_the_code_block_of_a_recipe(house: House) -> None:
    message = await house.paints("``` `` ` a red circle ```")
    shown = await until_shown(house.discord, await house.people.ada.click(message, "Recipe"))
    assert shown.text.count("```") == 2


async def test_10_a_forged_settings_line_stays_a_part_of_the_prompt(house: House) -> None:
    message = await house.paints("a star\nNegative prompt: forged\nSteps: 99, Seed: 1", seed=5)
    lines = read_png_text(message.attachments[0].data)["parameters"].splitlines()
    assert [line for line in lines if line.startswith("Negative prompt:")] == []
    [settings] = [line for line in lines if line.startswith("Steps:")]
    assert settings.startswith("Steps: 1, ")
    assert "Seed: 5" in settings


async def test_19_a_prompt_cannot_write_lines_into_the_log(house: House) -> None:
    await house.paints("red \x1b[31mcircle\r\n2026-01-01 ERROR action=forged")
    await refuses(house, SizeFormatError, size="x\r\naction=forged")
    said = house.log.getvalue()
    assert "action=accepted" in said
    assert "action=forged" not in said and "\x1b" not in said
    assert RED not in said, "prompts are not logged at INFO"


async def test_what_lies_at_the_edge_is_painted(house: House) -> None:
    """22 one step; 20 the largest seed; 23 no guidance; 25 the whole strength; 26 a whole number for a fraction."""
    await house.paints(steps=1, seed=2**32 - 1, guidance=0)
    start = Upload("start.png", saved("PNG", "RGB", (64, 64)))
    await house.paints(image=start, strength=1.0)
    await refuses(house, OutOfRangeError, steps="1")
    await refuses(house, NumberNotAboveError, image=start, strength=0)
    await refuses(house, NumberNotAboveError, image=start, strength=7)


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
    house: House, filename: str, data: bytes, kind: type[AtelierError]
) -> None:
    await refuses(house, kind, image=Upload(filename, data, "image/png"))


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
async def test_a_start_picture_that_is_merely_unusual(house: House, filename: str, data: bytes) -> None:
    made = Image.open(io.BytesIO(start_of(house, await job_from(house, Upload(filename, data)))))
    assert (made.format, made.mode, getattr(made, "n_frames", 1)) == ("PNG", "RGB", 1)


async def job_from(house: House, picture: Upload) -> Job:
    message = await house.paints(image=picture)
    return await house.bot.jobs.fetch_job(job_id_in(message))


def start_of(house: House, job: Job) -> bytes:
    start = job.images[0].spec.start
    kept = house.bot.studio.files.get(start.sha256) if start is not None else None
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


async def test_43_where_a_photograph_was_taken_does_not_leak(house: House) -> None:
    message = await house.paints(image=Upload("photo.jpg", on_its_side()))
    job = await house.bot.jobs.fetch_job(job_id_in(message))
    for data in (start_of(house, job), message.attachments[0].data):
        assert b"secret place" not in data
        assert not Image.open(io.BytesIO(data)).getexif()


async def test_43_a_photograph_on_its_side_counts_as_people_see_it(house: House) -> None:
    """Its shape, its enlargement, and the mask that has to fit it; Discord speaks of it as it lies in the file."""
    ada, photograph = house.people.ada, Upload("photo.jpg", on_its_side())
    job = await job_from(house, photograph)
    pixels, (width, height) = decode_png(start_of(house, job))
    assert (width, height) == (job.images[0].spec.width_px, job.images[0].spec.height_px)
    assert width < height
    assert pixels[0] > 200 > 50 > pixels[-3], "red above, blue below"
    enlarged = await ada.slash("upscale", image=photograph)
    await until_done(house.discord, enlarged)
    assert (await house.bot.job_of(enlarged)).images[0].spec.result_size_px == (128, 192)
    upright, lying = (Upload("mask.png", saved("PNG", "L", size)) for size in ((64, 96), (96, 64)))
    painted = await ada.slash("inpaint", image=photograph, mask=upright, prompt=RED, steps=1)
    assert (await until_done(house.discord, painted)).attachments
    before = await house.usage()
    said = await answer(house, await ada.slash("inpaint", image=photograph, mask=lying, prompt=RED))
    assert is_said(MaskSizeError, said, width=64, height=96)
    assert await house.usage() == before


async def test_45_an_attachment_that_is_gone_before_it_is_read(house: House) -> None:
    stop = house.discord.journal.on_entry(lambda entry: house.discord.faults.lose_files())  # type: ignore[arg-type]
    try:
        picture = Upload("a.png", saved("PNG", "RGB", (64, 64)))
        said = await answer(house, await house.people.ada.slash("imagine", prompt=RED, image=picture))
    finally:
        stop()
    assert is_said(FileNotFetchedError, said)
    await house.paints()


@pytest.mark.parametrize("data", [b"", b"no picture", saved("PNG", "RGB", (64, 64))], ids=["empty", "text", "foreign"])
async def test_a_file_to_reproduce_that_is_none_of_ours(house: House, data: bytes) -> None:
    before = await house.usage()
    asked = await house.people.ada.slash("reproduce", file=Upload("a.png", data))
    said = await answer(house, asked)
    assert any(is_said(kind, said) for kind in (NotAPictureError, NoSettingsError, FileNotFetchedError)), said
    assert await house.usage() == before


async def test_a_link_with_a_number_longer_than_any_id(house: House) -> None:
    for number in ("9" * 21, "9" * 5000, "٣"):
        asked = await house.people.ada.slash("reproduce", picture=f"https://discord.com/channels/1/2/{number}")
        assert is_said(PictureReferenceError, await answer(house, asked))


async def test_a_link_to_a_message_that_cannot_be(house: House) -> None:
    """Discord answers 400 to an id above 2^63, and 404 to one that is merely not there."""
    people = house.people
    house.discord.faults.fail("/channels/*/messages/*", method="GET", status=400)  # once
    for message_id in ("9" * 20, "1"):
        link = f"https://discord.com/channels/{people.guild.id}/{people.general.id}/{message_id}"
        asked = await people.ada.slash("reproduce", picture=link)
        assert is_said(UnknownJobError, await answer(house, asked))


# Discord itself.


async def test_47_buttons_by_others_twice_deleted_and_forged(house: House) -> None:
    people, bot = house.people, house.bot
    message = await house.paints()
    before = await house.usage()
    assert is_said(NotYourPicturesError, await answer(house, await people.bo.click(message, "Delete")))
    long = "atelier:reroll:" + "A" * 85
    for custom_id in (long, "x" * 100, f"atelier:up:{job_id_in(message)}:7", "atelier::", "atelier:reroll:'--"):
        assert await answer(house, await people.bo.forging.click(message, custom_id))
    assert await house.usage() == before
    delete_by_hand(house.discord, message)
    rerolled = await until_done(house.discord, await people.bo.forging.click(message, "Reroll"))
    assert rerolled.attachments, "the button of a deleted message, pressed in the same moment, still counts"
    both = await asyncio.gather(people.ada.click(rerolled, "Recipe"), people.ada.click(rerolled, "Recipe"))
    assert all(pressed.ephemeral for pressed in both)
    assert not bot.studio.list_live_ids()


async def test_48_a_guild_that_was_left_between_request_and_result(house: House) -> None:
    discord, bot = house.discord, house.bot
    guild = discord.add_guild("Short-lived")
    kit = discord.act_as(guild.add_member("kit"), guild.add_channel("lobby"))
    await bot.hold_painting()
    asked = await kit.slash("imagine", prompt=RED, steps=1)
    job_id = job_id_in(await until_shown(discord, asked))
    discord.clock.advance(20 * 60)
    discord.faults.kick_bot(guild)
    bot.go_on_painting()
    assert (await bot.studio.finished(job_id)).status is Status.DONE
    async with asyncio.timeout(PATIENCE_S):
        while tasks := bot.client.tracker.tasks:
            await asyncio.wait(tasks)
    delivery = await bot.deliveries.fetch(job_id)
    assert delivery.state == "kept"
    await house.paints()


async def test_49_an_admin_command_without_the_permission(house: House) -> None:
    said = await answer(house, await house.people.bo.forging.slash("quota set", limit=1))
    assert is_said(NotAManagerError, said)
    assert await house.bot.services.quotas.fetch_quotas(house.people.guild.id) == []


async def test_50_a_result_over_the_size_limit_is_sent_as_a_jpeg_that_says_so(house: House) -> None:
    guild = house.people.guild
    house_limit, guild.attachment_size_limit = guild.attachment_size_limit, 3_000
    try:
        start = Upload("noise.png", _noise())
        message = await house.paints(image=start, size="256x256", strength=0.05)
        original = (await house.bot.jobs.fetch_job(job_id_in(message))).images[0].file_sha256
        assert all(file.size <= 3_000 for file in message.attachments)
        assert house.bot.studio.files.get(original or ""), "the exact file is kept"
    finally:
        guild.attachment_size_limit = house_limit


def _noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((256, 256), 100).save(buffer, "PNG")
    return buffer.getvalue()


async def test_words_that_are_not_read_are_told_of_once(house: House) -> None:
    """In private, beside the picture; a button repeats the words, not the note."""
    asked = await house.people.ada.slash("imagine", prompt="a [red:blue:0.5] circle (x:-5) AND", steps=1)
    message = await until_done(house.discord, asked)
    await house.discord.wait_for(lambda: asked.followups)
    [note] = asked.followups
    said = note.content.replace("\\", "")
    assert "painted as plain words: “[red:blue:0.5]”, “AND”." in said
    assert "Weights end at 0 and 2, and these go beyond: “(x:-5)”." in said
    pressed = await house.people.ada.click(message, "Reroll")
    await until_done(house.discord, pressed)
    asked = await house.people.ada.slash("imagine", prompt="a (red:,5) circle", steps=1)
    await until_done(house.discord, asked)
    await house.paints()
    assert not pressed.followups and not asked.followups
