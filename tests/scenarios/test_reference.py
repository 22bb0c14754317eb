"""References over the wire: /imagine reference:, the menu “Use as guide”, what is refused, kept and erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diffusers import ControlNetModel, UNet2DConditionModel

from cogs.common.errors import NoReferenceError, OneAdapterError, ReferenceTwiceError
from discord_sandbox import Sandbox, Upload
from generation import paintbox
from generation.images.codec import read_png_text
from generation.images.metadata import PARAMETERS_KEYWORD, read_recipe
from generation.jobs.errors import NotYourUploadError
from generation.jobs.job import Status
from generation.models.add import add_path
from generation.models.catalog import PAINTBOX, Catalog
from generation.requests.errors import NoIpAdapterError, UnknownIpAdapterError
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import XL_SHAPED, save_toy_xl
from tests.generation.engine.toy_control import fill_zeros
from tests.generation.engine.toy_ip_adapter import add_to_built_in
from tests.generation.engine.trial_here import require_fitting_here
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, job_id_in, judged, until_done
from tests.scenarios.test_from_pictures import png
from tests.scenarios.test_settings_of_a_server import told
from tests.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
RED, SEA = "a red circle on a blue background", Upload("sea.png", png(2000, 300))
FEW = {"prompt": RED, "steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two IP-Adapters of the built-in model, a ControlNet, and a toy of XL without either."""
    root = tmp_path_factory.mktemp("looks")
    models = add_to_built_in(root, "looks", "plus")
    unet = UNet2DConditionModel.from_pretrained(paintbox.MODEL_DIR / "unet")
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16))
    fill_zeros(network, 0.02)
    network.save_pretrained(root / "depth")
    save_toy_xl(root, sizes=XL_SHAPED).rename(root / "xltoy")
    for name in ("depth", "xltoy"):
        tries: dict[str, Any] = {"require_loadable": lambda model: None, "require_fitting": require_fitting_here}
        add_path(models, root / name, say=lambda line: None, **tries)
    return models


@pytest.fixture
async def discord(tally: Tally) -> AsyncIterator[Sandbox]:
    async with judged(tally) as sandbox:
        yield sandbox


@pytest.fixture
def people(discord: Sandbox) -> People:
    return People.settle(discord)


@pytest.fixture
async def bot(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path, models_dir: Path
) -> AsyncIterator[LivingBot]:
    catalog = Catalog.open(PAINTBOX, models_dir)
    models = tuple(replace(each, safety_checker=None) for each in catalog.models)
    living = LivingBot(
        discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, models=models, thresholds=SHOWS_ANYTHING
    )
    await living.start()
    living.generation.catalog = replace(catalog, models=models)
    yield living
    await living.stop()


def files_of(bot: LivingBot) -> set[str]:
    return {path.stem for path in (bot.data_dir / "pictures").rglob("*.png")}


async def test_a_picture_looks_at_another_keeps_it_and_is_reproduced(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    offered = await ada.autocomplete("imagine", focused="adapter", value="", prompt=RED, reference=SEA)
    assert [each["value"] for each in offered] == ["looks", "plus"]
    asked = await ada.slash("imagine", reference=SEA, reference_strength=1.2, adapter="plus", **FEW)
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    seen, (image,) = job.request.spec.image_prompt, job.images
    assert seen and (seen.adapter, seen.strength) == ("plus", 1.2)
    assert job.is_from_upload and job.request.parent is None and seen.sha256 in files_of(bot)
    assert image.recipe is not None and image.recipe.parents == (seen.sha256,)
    posted = message.attachments[0].data
    assert read_recipe(posted).spec.image_prompt == seen
    assert 'IP-Adapter: "Model: plus, Weight: 1.2"' in read_png_text(posted)[PARAMETERS_KEYWORD]
    assert all(each in message.text for each in ("Looks at a reference by **plus**", "strength 1.2"))
    assert len(message.attachments) == 1, "the reference itself is not shown"
    plain = await until_done(discord, await ada.slash("imagine", **FEW))
    assert plain.attachments[0].data != posted
    recipe = await told(discord, await ada.click(message, "Recipe"))
    assert f"`{seen.adapter_sha256[:10]}`" in recipe.text and "strength 1.2" in recipe.text
    again = await until_done(discord, await ada.slash("reproduce", picture=f"{job.id}-0"))
    assert again.attachments[0].data == posted
    rerolled = await bot.ended(await ada.click(message, "Reroll"))
    assert rerolled.request.spec.image_prompt == seen and rerolled.request.spec.seed != job.request.spec.seed
    varied = await bot.ended(await ada.click(message, "Vary"))
    assert all(each.spec.image_prompt == seen for each in varied.images)
    form = await ada.click(message, "Remix")
    remixed = await bot.ended(await ada.submit_modal(form, {"prompt": "a green square"}))
    assert (remixed.request.spec.image_prompt, remixed.request.spec.prompt) == (seen, "a green square")
    enlarged = await bot.ended(await ada.click(message, "Upscale"))
    assert (enlarged.status, bool(enlarged.request.spec.image_prompt)) == (Status.DONE, False)
    refused = await told(discord, await people.bo.click(message, "Reroll"))
    assert is_said(NotYourUploadError, refused.text)


async def test_an_upload_goes_with_the_pictures_that_look_at_it(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await people.ada.slash("imagine", reference=SEA, **FEW)
    message, job = await until_done(discord, asked), await bot.job_of(asked)
    (given,) = job.request.spec.sources
    assert given in files_of(bot)
    await people.ada.click(message, "Delete")
    await discord.wait_for(lambda: given not in files_of(bot))


@pytest.mark.long
async def test_pictures_of_ours_are_references_by_command_and_by_menu(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    painted = await until_done(discord, await ada.slash("imagine", **FEW))
    original = (await bot.jobs.fetch_job(job_id_in(painted))).images[0]
    job = await bot.ended(await ada.slash("imagine", reference_from="last", **FEW))
    seen = job.request.spec.image_prompt
    assert seen and (seen.sha256, seen.adapter, seen.strength) == (original.file_sha256, "looks", 0.6)
    assert job.request.parent == original.id and not job.is_from_upload and job.status is Status.DONE
    both = await bot.ended(await ada.slash("imagine", reference=SEA, **FEW, **{"from": f"{job.id}-0"}))
    assert both.request.spec.start is not None and both.is_from_upload and both.request.parent is None
    uploaded = await bot.ended(await ada.slash("imagine", image=SEA, reference_from=f"{job.id}-0", **FEW))
    assert uploaded.request.spec.start is not None and uploaded.request.spec.image_prompt
    assert uploaded.status is Status.DONE
    form = await ada.context_menu("Use as guide", painted)
    sent = await ada.submit_modal(form, {"prompt": "a green square", "network": "depth", "network2": "plus"})
    guided = await bot.ended(sent)
    spec = guided.request.spec
    assert [each.network for each in spec.controls] == ["depth"] and spec.image_prompt
    assert (spec.image_prompt.adapter, guided.status) == ("plus", Status.DONE)
    photo = people.bo.say("look", files=[SEA])
    form = await ada.context_menu("Use as guide", photo)
    alone = await bot.ended(await ada.submit_modal(form, {"prompt": "a sea", "network": "looks", "network2": "none"}))
    assert alone.request.spec.image_prompt and not alone.request.spec.controls and alone.is_from_upload
    form = await ada.context_menu("Use as guide", photo)
    two = await bot.ended(await ada.submit_modal(form, {"prompt": "a sea", "network": "depth", "network2": "looks"}))
    assert two.request.spec.image_prompt and two.request.spec.controls and two.status is Status.DONE
    form = await ada.context_menu("Use as guide", photo)
    refused = await ada.submit_modal(form, {"prompt": "a sea", "network": "looks", "network2": "plus"})
    assert is_said(OneAdapterError, (await told(discord, refused)).text)


async def test_what_cannot_be_is_refused_at_once(discord: Sandbox, people: People, bot: LivingBot) -> None:
    ada = people.ada
    for options, error in (
        ({"reference": SEA, "reference_from": "last"}, ReferenceTwiceError),
        ({"reference_strength": 1.0}, NoReferenceError),
        ({"adapter": "looks"}, NoReferenceError),
        ({"reference": SEA, "adapter": "other"}, UnknownIpAdapterError),
        ({"reference": SEA, "model": "xltoy"}, NoIpAdapterError),
    ):
        asked = await ada.forging.slash("imagine", **FEW, **options)
        assert is_said(error, (await told(discord, asked)).text), options
    assert not files_of(bot)
