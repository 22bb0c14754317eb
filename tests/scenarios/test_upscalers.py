"""An upscaler from the shell to the picture: added, named, chosen for a server, reproduced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogs.results._messages import ENLARGED, IDENTICAL, RESTORED
from cogs.settings._notes import NO_LONGER_THERE
from discord_sandbox import Interaction, Permission, Sandbox, Upload
from generation.admission.errors import EnlargeSizeError
from generation.images.metadata import read_recipe
from generation.models.add import add_path
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.cost import image_cost
from generation.requests.errors import AddonChangedError, UnknownUpscalerError, UpscalerFactorError
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.trial_here import require_fitting_here, require_loadable_here
from tests.generation.engine.upscalers.toy_upscalers import TOYS
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, job_id_in, until_done
from tests.scenarios.test_from_pictures import png
from tests.scenarios.test_settings_of_a_server import choose, chosen, told

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
RED = "a red circle on a blue background"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """The built-in model beside three upscalers that were added to the models folder."""
    for name, toy in (("4x-Sharp", "ESRGAN x4"), ("2x-Anime", "compact x2"), ("1x-Clean", "compact x1")):
        file = TOYS[toy].save(tmp_path / f"{name}.safetensors")
        add_path(
            tmp_path / "models",
            file,
            say=lambda line: None,
            require_loadable=require_loadable_here,
            require_fitting=require_fitting_here,
        )
    return Catalog.open(PAINTBOX, tmp_path / "models").default


@pytest.fixture
async def bot(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path, model: Model
) -> AsyncIterator[LivingBot]:
    living = LivingBot(
        discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, models=(model,), thresholds=SHOWS_ANYTHING
    )
    await living.start()
    yield living
    await living.stop()


async def test_an_added_upscaler_is_named_recorded_and_reproduced(
    discord: Sandbox, people: People, bot: LivingBot, model: Model
) -> None:
    ada, picture = people.ada, Upload("sea.png", png(128, 96))
    offered = await ada.autocomplete("upscale", focused="upscaler", value="sharp", image=picture)
    assert [each["value"] for each in offered] == ["4x-Sharp"]

    async def enlarged(factor: int | None = None, upscaler: str = "4x-Sharp") -> Interaction:
        options = {"image": picture, "upscaler": upscaler} | ({} if factor is None else {"factor": factor})
        asked = await ada.slash("upscale", **options)
        await until_done(discord, asked)
        return asked

    for factor, size in ((None, (256, 192)), (4, (512, 384))):
        asked = await enlarged(factor)
        job, message = await bot.job_of(asked), await until_done(discord, asked)
        posted = message.attachments[0].data
        assert (message.attachments[0].width, message.attachments[0].height) == size
        assert is_said(ENLARGED, message.text, factor=factor or 2) and "4x-Sharp" in message.text.replace("\\", "")
        recorded = json.loads(read_recipe(posted).to_json())["spec"]["upscale"]["network"]
        assert recorded == {"name": "4x-Sharp", "sha256": model.upscalers[0].sha256}
        assert job.images[0].charged == image_cost(job.images[0].spec)
        again = await until_done(discord, await ada.slash("reproduce", picture=f"{job_id_in(message)}-0"))
        assert is_said(IDENTICAL, again.text)
        assert again.attachments[0].data == posted
        from_file = await until_done(discord, await ada.slash("reproduce", file=Upload("a.png", posted)))
        assert is_said(IDENTICAL, from_file.text)
    clean = await until_done(discord, await enlarged(upscaler="1x-Clean"))
    assert is_said(RESTORED, clean.text)


async def test_what_no_upscaler_gives_is_refused_in_a_sentence(
    discord: Sandbox, people: People, bot: LivingBot, model: Model
) -> None:
    bo = people.bo

    async def refusal(**options: object) -> str:
        return (await told(discord, await bo.forging.slash("upscale", **options))).text

    small, large = Upload("s.png", png(128, 128)), Upload("l.png", png(1024, 512))
    assert is_said(UnknownUpscalerError, await refusal(image=small, upscaler="Gone"))
    assert is_said(UpscalerFactorError, await refusal(image=small, upscaler="2x-Anime", factor=4))
    assert is_said(UpscalerFactorError, await refusal(image=small, upscaler="4x-Sharp", factor=3))
    assert is_said(EnlargeSizeError, await refusal(image=large, upscaler="4x-Sharp", factor=4))
    done = await until_done(discord, await bo.slash("upscale", image=small, upscaler="2x-Anime"))
    changed = replace(model.upscalers[1], sha256="0" * 64)
    for upscalers, error in (((changed,), AddonChangedError), ((), UnknownUpscalerError)):
        bot.generation.catalog = Catalog((replace(model, upscalers=upscalers),))
        asked = await bo.slash("reproduce", picture=f"{job_id_in(done)}-0")
        assert is_said(error, (await told(discord, asked)).text)


async def test_the_servers_choice_enlarges_under_every_button(
    discord: Sandbox, people: People, bot: LivingBot, model: Model
) -> None:
    gil = people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
    manager = discord.act_as(gil, people.general)
    painted = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1, size="64x64"))
    plain = await until_done(discord, await people.ada.click(painted, "Upscale"))
    assert "upscale" in read_recipe(plain.attachments[0].data).to_json()
    assert "network" not in read_recipe(plain.attachments[0].data).to_json(), "the built-in model has its own"

    panel = await told(discord, await manager.slash("settings"))
    await choose(manager, panel, "what", "default_upscaler", "2x-Anime")
    await discord.wait_for(lambda: "2x-Anime" in chosen(panel))
    pressed = await people.ada.click(painted, "Upscale")
    typed = await people.ada.slash("upscale", image=Upload("a.png", png(64, 64)))
    for asked in (pressed, typed):
        assert "2x\\-Anime" in (await until_done(discord, asked)).text, "whatever the checker thinks of it"

    gone = GuildPreferences(default_upscaler="gone")
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=gone))
    panel = await told(discord, await manager.slash("settings"))
    assert is_said(NO_LONGER_THERE, panel.text, listed="`gone`")
    again = await until_done(discord, await people.ada.click(painted, "Upscale"))
    assert again.attachments[0].data == plain.attachments[0].data
    await manager.click(panel, "atelier-set:what:tidy")
    await discord.wait_for(lambda: not is_said(NO_LONGER_THERE, panel.text, listed="`gone`"))
