"""Files of other tools, sent to /reproduce and /recipe: what is read, what is refused, and what people are told."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from cogs.common.errors import NoSettingsError
from cogs.recipe._messages import FOREIGN_SETTINGS, FROM_TOOL, SEED_CUT, UNREAD_SETTINGS
from discord_sandbox import Upload
from generation.errors import InvalidRequestError
from generation.images.codec import encode_png, read_png_text
from generation.jobs.errors import PromptNotReadError
from generation.requests.errors import PromptTooLongError, UnknownLoraError, UnknownTagError
from generation.requests.spec import ImageSpec
from tests.generation.images.hostile_files import saved
from tests.messages import is_said
from tests.scenarios.bad_input_harness import Harness, answer
from tests.scenarios.bot_harness import until_done, until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINE = "Steps: 2, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, Clip skip: 2"


def png(**text: str) -> Upload:
    return Upload("a.png", encode_png(bytes(64 * 64 * 3), (64, 64), text=text))


def graph() -> dict[str, Any]:
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    links = {"positive": ["4", 0], "negative": ["4", 1], "latent_image": ["5", 0]}
    return {
        "1": node("KSampler", seed=2**40 + 7, steps=2, cfg=5, sampler_name="euler", scheduler="beta", **links),
        "2": node("CLIPTextEncode", text="a red circle"),
        "3": node("CLIPTextEncode", text="blurry"),
        "4": node("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0]),
        "5": node("EmptyLatentImage", width=64, height=64),
    }


async def painted(harness: Harness, file: Upload) -> tuple[ImageSpec, bytes, str]:
    """What was accepted, the file that came of it, and what only the one who asked is told."""
    asked = await harness.people.ada.slash("reproduce", file=file)
    message = await until_done(harness.discord, asked)
    told = await harness.discord.wait_for(lambda: asked.followups)
    spec = (await harness.bot.job_of(asked)).images[0].spec
    return spec, message.attachments[0].data, told[0].text


async def test_lora_and_clip_skip_of_another_tool_are_used_and_its_file_tells_the_truth(harness: Harness) -> None:
    spec, data, told = await painted(
        harness, png(parameters=f"a star <lora:neon:0.8>\nNegative prompt: blurry\n{LINE}")
    )
    assert (spec.prompt, spec.negative, spec.clip_skip) == ("a star", "blurry", 2)
    assert [str(adapter) for adapter in spec.adapters] == ["<lora:neon:0.8>"]
    assert is_said(FROM_TOOL, told, tool="A1111")
    assert not is_said(UNREAD_SETTINGS, told)
    parameters = read_png_text(data)["parameters"]
    assert parameters.startswith("a star <lora:neon:0.8>\n")
    assert "Clip skip: 2, Lora hashes:" in parameters


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("a star <lora:not-here:0.8>", UnknownLoraError),
        ("word, " * 400, PromptTooLongError),
        ("a star <hypernet:x:1>", UnknownTagError),
    ],
)
async def test_what_imagine_refuses_is_refused_and_costs_nothing(
    harness: Harness, prompt: str, kind: type[InvalidRequestError]
) -> None:
    before = await harness.usage()
    asked = await harness.people.ada.slash("reproduce", file=png(parameters=f"{prompt}\n{LINE}"))
    assert is_said(kind, await answer(harness, asked))
    assert await harness.usage() == before


async def test_a_graph_is_painted_as_it_was_meant_and_what_is_left_out_is_told(harness: Harness) -> None:
    spec, _, told = await painted(harness, png(prompt=json.dumps(graph())))
    assert (spec.prompt, spec.negative, spec.seed, spec.sampler) == ("a red circle", "blurry", 7, "Euler")
    assert is_said(UNREAD_SETTINGS, told, names="ControlNetApplyAdvanced, Schedule type\\: beta")
    assert is_said(SEED_CUT, told, there=2**40 + 7, here=7)


async def test_a_graph_without_words_that_are_certain_is_refused(harness: Harness) -> None:
    nodes = graph()
    nodes["2"] = {"class_type": "Nobody's", "inputs": {"text": "a red circle"}}
    asked = await harness.people.ada.slash("reproduce", file=png(prompt=json.dumps(nodes)))
    names = "ControlNetApplyAdvanced, Nobody's, Schedule type: beta"
    assert is_said(PromptNotReadError, await answer(harness, asked), names=names)


async def test_a_photograph_lends_its_settings_and_the_recipe_shows_them(harness: Harness) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + f"a star\n{LINE}, Hires upscale: 2".encode("utf-16-be")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", exif=exif)
    file = Upload("a.jpg", buffer.getvalue())
    assert (await painted(harness, file))[0].prompt == "a star"
    shown = await until_shown(harness.discord, await harness.people.ada.slash("recipe", file=file))
    assert is_said(FOREIGN_SETTINGS, shown.text, tool="A1111")
    for says in ("** 2\n", "** hires upscale\\: 2"):
        assert says in shown.text, shown.text


async def test_a_picture_without_settings_is_said_to_have_none(harness: Harness) -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        file = Upload(f"a.{kind.lower()}", saved(kind, "RGB", (64, 64)))
        for command in ("reproduce", "recipe"):
            asked = await harness.people.ada.slash(command, file=file)
            assert is_said(NoSettingsError, await answer(harness, asked))
