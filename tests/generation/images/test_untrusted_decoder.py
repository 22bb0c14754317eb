"""Untrusted files are decoded in a process of their own, under limits, so they cannot harm the bot."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import zlib
from typing import Any

import pytest
from PIL import Image

from generation.errors import InvalidRequestError
from generation.images import untrusted_decoder
from generation.images.codec import decode_png, encode_png
from generation.images.errors import (
    EmptyFileError,
    NoRecipeError,
    NotAPictureError,
    NotAPngError,
    PictureDamagedError,
    PictureSizeError,
    PictureTooCostlyError,
)
from generation.images.interchange import ForeignSettings
from generation.images.metadata import sign_png
from generation.images.untrusted_decoder import fit_picture, read_settings, read_signed
from generation.owner import Owner
from generation.requests.errors import RecipeUnusableError
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from tests.generation.images.hostile_files import header_only, many_frames, saved, text_bomb, with_chunk

SIZE = (64, 64)
RECIPE = Recipe(
    spec=ImageSpec(
        prompt="a red circle, „größer“ 猫",
        model="paintbox",
        width_px=64,
        height_px=64,
        steps=20,
        guidance=7.5,
        sampler="Euler a",
        seed=7,
    ),
    model_sha256="ab" * 32,
    trace="8x20",
    fingerprint=Fingerprint({"device": "cpu"}),
    pixels_sha256="0" * 64,
    dropped="two\nlines",
)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(header_only(60000, 60000), PictureSizeError, id="36"),
        pytest.param(header_only(9459, 9459), PictureSizeError, id="37"),
        pytest.param(text_bomb(200), PictureDamagedError, id="38"),
        pytest.param(saved("PNG", "RGB", SIZE)[:60], PictureDamagedError, id="39 PNG"),
        pytest.param(saved("JPEG", "RGB", (640, 640))[:700], PictureDamagedError, id="39 JPEG"),
        pytest.param(b"", EmptyFileError, id="40 empty"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", NotAPictureError, id="40 SVG"),
        pytest.param(b"<!doctype html>", NotAPictureError, id="40 HTML"),
        pytest.param(saved("TIFF", "RGB", SIZE), NotAPictureError, id="40 TIFF"),
        pytest.param(saved("GIF", "P", SIZE), NotAPictureError, id="40 GIF"),
        pytest.param(header_only(1, 20000), PictureSizeError, id="44"),
    ],
)
async def test_an_unusable_file_is_refused_with_the_reason(data: bytes, kind: type[InvalidRequestError]) -> None:
    with pytest.raises(kind):
        await fit_picture(data, SIZE)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(many_frames(300), id="41 300 frames"),
        pytest.param(saved("JPEG", "CMYK", (96, 80)), id="42 CMYK"),
        pytest.param(saved("PNG", "LA", (96, 80)), id="42 LA"),
        pytest.param(saved("PNG", "I;16", (96, 80)), id="42 16 bit"),
        pytest.param(saved("PNG", "P", (96, 80)), id="42 palette"),
        pytest.param(saved("WEBP", "RGBA", (96, 80)), id="42 WebP with transparency"),
    ],
)
async def test_an_unusual_file_becomes_a_plain_picture(data: bytes) -> None:
    made = Image.open(io.BytesIO(await fit_picture(data, SIZE)))
    assert (made.format, made.mode, made.size) == ("PNG", "RGB", SIZE)
    assert getattr(made, "n_frames", 1) == 1


async def test_43_a_photograph_is_turned_upright_and_tells_no_place() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    sideways = Image.new("RGB", (128, 64), "blue")
    sideways.paste("red", (0, 0, 64, 64))
    buffer = io.BytesIO()
    sideways.save(buffer, "JPEG", exif=exif, quality=100)
    made = await fit_picture(buffer.getvalue(), (64, 128))
    assert b"secret place" not in made
    pixels, _ = decode_png(made)
    assert pixels[0] > 200, "turned by a quarter, the red half is above"
    assert pixels[-1] > 200


async def test_the_largest_picture_allowed_fits_the_limits() -> None:
    assert await fit_picture(saved("PNG", "RGB", (4096, 4096)), SIZE)


async def test_a_file_that_takes_too_much_memory_ends_only_its_own_process(wild_decoder: None) -> None:
    """A decoder misbehaves, as one with a security hole would."""
    with pytest.raises(PictureTooCostlyError):
        await fit_picture(b"memory", SIZE)


async def test_a_file_that_takes_for_ever_is_given_up(wild_decoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted_decoder, "PATIENCE_S", 0.5)
    with pytest.raises(PictureTooCostlyError):
        await fit_picture(b"for ever", SIZE)


async def test_a_recipe_is_read_in_the_process_and_the_file_written_again() -> None:
    foreign = encode_png(bytes(64 * 64 * 3), SIZE, text={"atelier": "{}"})
    plain = saved("PNG", "RGB", SIZE)
    refusals: dict[bytes, type[InvalidRequestError]]
    refusals = {foreign: RecipeUnusableError, plain: NoRecipeError, b"": NotAPngError}
    for data, kind in refusals.items():
        with pytest.raises(kind):
            await read_signed(data)
    for data, kind in ((foreign, RecipeUnusableError), (b"", NotAPictureError)):
        with pytest.raises(kind):
            await read_settings(data)
    assert await read_settings(plain) is None


async def test_only_settings_come_back_from_the_text_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 kilobytes that unpack to fifty million characters would fill the bot, were they handed on."""
    answers, decode = [], untrusted_decoder._decode

    async def listened(*words: Any) -> bytes:
        answers.append(await decode(*words))
        return answers[-1]

    monkeypatch.setattr(untrusted_decoder, "_decode", listened)
    picture = encode_png(bytes(64 * 64 * 3), SIZE, text={"parameters": "a cat\nSteps: 20"})
    for number in range(50):
        picture = with_chunk(picture, b"zTXt", b"k%d\0\0" % number + zlib.compress(b"\xe9" * 1_000_000, 9))
    assert len(picture) < 100_000
    assert await read_settings(picture) == ForeignSettings(tool="A1111", prompt="a cat", steps=20)
    assert len(answers[0]) < 1000


async def test_a_recipe_comes_with_its_picture_and_neither_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen megapixels on the event loop would hold up everybody; here any pixel would."""
    pixels = bytes(64 * 64 * 3)
    with monkeypatch.context() as without:
        without.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded by the bot"))
        recipe, clean = await read_signed(with_chunk(sign_png(pixels, SIZE, RECIPE), b"tEXt", b"secret\0place"))
    assert recipe == RECIPE
    assert clean == sign_png(pixels, SIZE, RECIPE), "written again, with nothing else in it"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "canary")
    assert "canary" not in str(untrusted_decoder._environment())
    assert os.environ["ATELIER_DISCORD_TOKEN"] == "canary"


async def test_no_more_than_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = set[int](), 0
    start = asyncio.create_subprocess_exec

    async def counted(*words: object, **options: object) -> asyncio.subprocess.Process:
        nonlocal most
        process = await start(*words, **options)  # type: ignore[arg-type]
        running.add(process.pid)
        most = max(most, len(running))
        wait = process.wait

        async def waited() -> int:
            running.discard(process.pid)
            return await wait()

        monkeypatch.setattr(process, "wait", waited)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
    data = saved("PNG", "RGB", SIZE)
    made = await asyncio.gather(*(fit_picture(data, SIZE, owner=Owner(guild, 1)) for guild in range(6)))
    assert len(set(made)) == 1
    assert most == untrusted_decoder.AT_ONCE
    most = 0
    await asyncio.gather(*(fit_picture(data, SIZE, owner=Owner(1, user)) for user in range(6)))
    assert most == untrusted_decoder.AT_ONCE_OF_GUILD, "one server's"
    most = 0
    await asyncio.gather(*(read_settings(data, owner=Owner(1, 1)) for _ in range(4)))
    assert most == 1, "one member's"


async def test_another_servers_file_does_not_wait_for_a_flood_of_files() -> None:
    ended: list[str] = []
    slow = saved("PNG", "RGB", (4096, 4096))

    async def read(data: bytes, owner: Owner, name: str) -> None:
        await fit_picture(data, SIZE, owner=owner)
        ended.append(name)

    flood = [asyncio.create_task(read(slow, Owner(1, user), "flood")) for user in range(8)]
    await asyncio.sleep(0)
    await read(saved("PNG", "RGB", SIZE), Owner(2, 1), "other")
    await asyncio.gather(*flood)
    assert ended.index("other") < 3, "not after those before it"
