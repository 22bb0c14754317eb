"""A toy of every family side by side, over the wire, in the real engine: added, offered, painted, reproduced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cli import models
from cogs.results._messages import IDENTICAL
from discord_sandbox import Interaction, Sandbox, ScriptedUser, Upload
from generation.images.codec import read_png_text
from generation.jobs.job import Status
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import save_toy, save_toy_xl
from tests.generation.engine.toy_flow import (
    save_toy_chroma,
    save_toy_flux,
    save_toy_klein,
    save_toy_sd3,
    save_toy_zimage,
)
from tests.generation.engine.toy_flow_lora import AUTHORS, write_flow_lora
from tests.generation.engine.toy_qwen import save_toy_qwenimage
from tests.generation.engine.trial_here import require_fitting_here, require_loadable_here
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, until_done, until_shown

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
TOYS: dict[str, Callable[[Path], Path]] = {
    "sdtoy": save_toy,
    "sdxltoy": save_toy_xl,
    "zimagetoy": save_toy_zimage,
    "kleintoy": save_toy_klein,
    "fluxtoy": save_toy_flux,
    "qwenimagetoy": save_toy_qwenimage,
    "chromatoy": save_toy_chroma,
    "sd3toy": save_toy_sd3,
}
OTHER = dict(zip(TOYS, [*list(TOYS)[1:], "sdtoy"], strict=True))
CHOICES = {"steps": 2, "size": "64x64", "seed": 7}
WORDS = "[a:the:0.5] (harbour:1.2) <region:left:a red boat>"
LORAS = {f"{family}toy": f"ink{family}" for family in ("zimage", "klein", "flux", "qwenimage", "sd3")}
"""A LoRA for some that are trained by flow matching, under its authors' names."""
LITERAL = TOYS.keys() - {"sdtoy", "sdxltoy"}
"""Those that paint weights of words as they stand."""


@pytest.fixture
async def bot(
    discord: Sandbox, tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LivingBot]:
    """A bot whose models were added by the command line, each in a line."""
    monkeypatch.setattr(models, "require_loadable", require_loadable_here)
    for name, save in TOYS.items():
        models.add(tmp_path / "models", str(save(tmp_path / name)), say=lambda line: None, name=name)
    monkeypatch.setattr(models, "require_fitting", require_fitting_here)
    for lora in LORAS.values():
        path = write_flow_lora(tmp_path / f"{lora}.safetensors", AUTHORS[lora.removeprefix("ink")], "ComfyUI").path
        models.add(tmp_path / "models", str(path), say=lambda line: None)
    (tmp_path / "data").mkdir()
    bot = LivingBot(discord, tmp_path / "data", blank_database, engine=DEFAULT_ENGINE, models_dir=tmp_path / "models")
    await bot.start()
    yield bot
    await bot.stop()


async def test_each_is_offered_painted_and_reproduced_and_starts_the_next(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    offered = await ada.autocomplete("imagine", focused="model", value="toy")
    assert {each["value"] for each in offered} == TOYS.keys()
    await assert_loras_are_for_their_own_family(discord, ada)
    listed = await until_shown(discord, await ada.slash("models"))
    assert all(name in listed.text for name in TOYS)
    assert "up to 2" in listed.text and "up to 1" not in listed.text, "clip skip, where there is a choice"
    asked = {name: await ada.slash("imagine", prompt=WORDS, model=name, **CHOICES | lora_for(name)) for name in TOYS}
    painted = {name: await until_done(discord, each) for name, each in asked.items()}
    for name, message in painted.items():
        await assert_told_what_has_no_effect(discord, asked[name], name)
        [image] = (await bot.job_of(asked[name])).images
        assert (image.status, image.spec.model) == (Status.DONE, name)
        png = message.attachments[0].data
        assert f"Model: {name}" in read_png_text(png)["parameters"]
        assert [each.name for each in image.spec.adapters] == list(lora_for(name).values())
        recipe = await until_shown(discord, await ada.slash("recipe", file=Upload("a.png", png)))
        assert name in recipe.text
        form = await ada.click(message, button_of(message, "remix"))
        remixed = await bot.ended(await ada.submit_modal(form, {"prompt": "a quiet harbour"}))
        assert (remixed.images[0].spec.prompt, remixed.images[0].spec.model) == ("a quiet harbour", name)
        await assert_starts(bot, ada, job_id_in(message), model=OTHER[name])
    await bot.stop()
    await bot.start()
    for message in painted.values():
        again = await until_done(discord, await ada.slash("reproduce", picture=f"{job_id_in(message)}-0"))
        assert is_said(IDENTICAL, again.text)
        assert again.attachments[0].data == message.attachments[0].data


async def assert_loras_are_for_their_own_family(discord: Sandbox, ada: ScriptedUser) -> None:
    for name in TOYS:
        offered = await ada.autocomplete("imagine", focused="lora", value="ink", model=name)
        assert [each["value"] for each in offered] == list(lora_for(name).values())
    refused = await ada.slash("imagine", prompt="a harbour", model="kleintoy", lora="inkzimage")
    assert "was made for Z-Image and does not fit" in (await until_shown(discord, refused)).text


async def assert_told_what_has_no_effect(discord: Sandbox, asked: Interaction, name: str) -> None:
    if name in LITERAL:
        await discord.wait_for(lambda: asked.followups)
    said = [each.content.replace("\\", "") for each in asked.followups]
    note = f"“{name}” has no weights of words, so these are painted as they stand: “(harbour:1.2)”."
    assert said == ([note] if name in LITERAL else [])


def lora_for(model: str) -> dict[str, str]:
    return {"lora": LORAS[model]} if model in LORAS else {}


async def assert_starts(bot: LivingBot, ada: ScriptedUser, job_id: str, *, model: str) -> None:
    """A picture of one model is what another starts from."""
    asked = await ada.slash("img2img", prompt="a harbour", **{"from": f"{job_id}-0"}, model=model, steps=2, seed=8)
    [image] = (await bot.ended(asked)).images
    assert (image.status, image.spec.model) == (Status.DONE, model)
