"""ControlNets over the wire: /control, the menu “Use as guide”, what is refused, kept, reproduced and erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers import ControlNetModel, UNet2DConditionModel

from cogs.common.errors import SecondNetMissingError
from discord_sandbox import Message, Sandbox, Upload
from generation import paintbox
from generation.images.metadata import read_recipe
from generation.jobs.errors import NotYourUploadError
from generation.jobs.job import Status
from generation.models.add import add_path
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.requests.control import ADAPTER, UNION
from generation.requests.cost import image_cost
from generation.requests.errors import (
    ControlMismatchError,
    ControlModeError,
    ControlModeUnknownError,
    ControlSpanError,
    NoControlError,
    UnknownControlError,
)
from generation.requests.recipe import Trace
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import XL_SHAPED, save_toy_xl
from tests.generation.engine.toy_control import fill_zeros, save_toy_adapter, save_toy_control, save_toy_union
from tests.generation.engine.trial_here import require_fitting_here
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, job_id_in, judged, until_done
from tests.scenarios.test_from_pictures import png
from tests.scenarios.test_settings_of_a_server import told
from tests.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
XL = "xltoy"
RED, SEA = "a red circle on a blue background", Upload("sea.png", png(128, 128))
FEW = {"prompt": RED, "steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ControlNets of the built-in model, and a toy of XL with a ControlNet, a T2I-Adapter and a Union."""
    root = tmp_path_factory.mktemp("nets")
    unet = UNet2DConditionModel.from_pretrained(paintbox.MODEL_DIR / "unet")
    for name in ("edges-canny", "depth"):
        network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16))
        fill_zeros(network, 0.02)
        network.save_pretrained(root / name)
    save_toy_control(root, name="xl-canny", family="sdxl", sizes=XL_SHAPED)
    save_toy_adapter(root, name="xl-adapter", family="sdxl", sizes=XL_SHAPED)
    save_toy_union(root, name="xl-union", sizes=XL_SHAPED)
    save_toy_xl(root, sizes=XL_SHAPED).rename(root / XL)
    for name in ("edges-canny", "depth", "xl-canny", "xl-adapter", "xl-union", XL):
        add_path(
            root / "models",
            root / name,
            say=lambda line: None,
            require_loadable=lambda model: None,
            require_fitting=require_fitting_here,
        )
    return root / "models"


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


async def test_a_picture_follows_another_and_is_remixed_and_reproduced_after_a_restart(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    offered = await ada.autocomplete("control", focused="net", value="", prompt=RED, image=SEA)
    assert [each["value"] for each in offered] == ["edges-canny", "depth"], "of this model, and of no other"
    asked = await ada.slash("control", image=SEA, net="edges-canny", strength=0.8, during="0-0.5", **FEW)
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    (control,), (image,) = job.request.spec.controls, job.images
    assert (control.network, control.preprocessor, control.strength, control.end) == ("edges-canny", "canny", 0.8, 0.5)
    assert image.recipe is not None
    assert [len(each.control) for each in Trace.parse(image.recipe.trace).forwards()] == [1, 0]
    assert image.charged == image_cost(image.spec)
    assert image.recipe.parents == (control.sha256,) and control.sha256 in files_of(bot)
    posted = message.attachments[0].data
    assert read_recipe(posted).spec.controls == (control,)
    assert len(message.attachments) == 2, "its map is shown"
    assert all(each in message.text for each in ("edges\\-canny", "canny · strength 0.8 · from 0 to 0.5"))
    plain = await until_done(discord, await ada.slash("imagine", **FEW))
    assert plain.attachments[0].data != posted

    async def same(message: Message) -> bytes:
        again = await until_done(discord, await ada.slash("reproduce", picture=f"{job_id_in(message)}-0"))
        return again.attachments[0].data

    recipe = await told(discord, await ada.click(message, "Recipe"))
    assert all(each in recipe.text for each in (f"`{control.network_sha256[:10]}`", "strength 0.8", "0–0.5", "canny"))
    assert await same(message) == posted
    rerolled = await bot.ended(await ada.click(message, "Reroll"))
    assert rerolled.request.spec.controls == (control,) and rerolled.request.spec.seed != job.request.spec.seed
    varied = await bot.ended(await ada.click(message, "Vary"))
    assert all(each.spec.controls == (control,) for each in varied.images)
    enlarged = await bot.ended(await ada.click(message, "Upscale"))
    assert (enlarged.status, enlarged.request.spec.controls) == (Status.DONE, ())
    await bot.stop()
    await bot.start()
    assert await same(message) == posted


async def test_a_picture_of_ours_is_followed_by_command_and_by_menu(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    painted = await until_done(discord, await ada.slash("imagine", **FEW))
    asked = await ada.slash("control", net="depth", **FEW, **{"from": f"{job_id_in(painted)}-0"})
    job = await bot.ended(asked)
    assert len((await until_done(discord, asked)).attachments) == 1, "what is a map already is not shown"
    (control,), original = job.request.spec.controls, await bot.jobs.fetch_job(job_id_in(painted))
    assert (control.sha256, control.preprocessor) == (original.images[0].file_sha256, "none")
    assert job.request.parent == original.images[0].id and job.status is Status.DONE
    form = await ada.context_menu("Use as guide", painted)
    sent = await ada.submit_modal(form, {"prompt": "a green square", "network": "edges-canny", "network2": "none"})
    guided = await bot.ended(sent)
    assert (guided.request.spec.prompt, guided.request.spec.controls[0].network) == ("a green square", "edges-canny")
    assert guided.request.spec.start is None and guided.status is Status.DONE
    photo = people.bo.say("look", files=[SEA])
    form = await ada.context_menu("Use as guide", photo)
    both = {"prompt": "a sea", "network": "depth", "network2": "edges-canny"}
    theirs = await bot.ended(await ada.submit_modal(form, both))
    assert [each.network for each in theirs.request.spec.controls] == ["depth", "edges-canny"]
    assert len({each.sha256 for each in theirs.request.spec.controls}) == 1 and theirs.is_from_upload


@pytest.mark.long  # the short form is the next one
async def test_two_are_followed_at_once_reproduced_and_remixed(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada, hill = people.ada, Upload("hill.png", png(100, 140))
    asked = await ada.slash(
        "control",
        image=SEA,
        net="edges-canny",
        net2="depth",
        image2=hill,
        preprocessor2="map:depth",
        strength2=0.5,
        during2="50-100%",
        **FEW,
    )
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    first, second = job.request.spec.controls
    assert (first.network, first.preprocessor, first.strength) == ("edges-canny", "canny", 1.0)
    assert (second.network, second.preprocessor, second.strength) == ("depth", "none", 0.5)
    assert [(each.begin, each.end) for each in (first, second)] == [(0.0, 1.0), (0.5, 1.0)]
    assert first.sha256 != second.sha256 and {first.sha256, second.sha256} <= files_of(bot)
    (image,) = job.images
    assert image.recipe is not None and image.recipe.parents == (first.sha256, second.sha256)
    assert [len(each.control) for each in Trace.parse(image.recipe.trace).forwards()] == [1, 2]
    recipe = await told(discord, await ada.click(message, "Recipe"))
    assert all(f"`{each.network_sha256[:10]}`" in recipe.text for each in (first, second))
    again = await until_done(discord, await ada.slash("reproduce", picture=f"{job.id}-0"))
    assert again.attachments[0].data == message.attachments[0].data
    same = await bot.ended(await ada.slash("control", image=SEA, net="edges-canny", net2="depth", **FEW))
    assert [each.sha256 for each in same.request.spec.controls] == [first.sha256] * 2, "it follows the same picture"
    ours = {"from": f"{job.id}-0", "image2": hill}
    mixed = await bot.ended(await ada.slash("control", net="depth", net2="edges-canny", **FEW, **ours))
    assert [each.sha256 for each in mixed.request.spec.controls] == [image.file_sha256, second.sha256]
    assert mixed.is_from_upload and mixed.request.parent is None, "it counts as an upload"
    refused = await people.bo.forging.slash("control", image=SEA, image2=hill, **FEW)
    assert is_said(SecondNetMissingError, (await told(discord, refused)).text)


async def test_an_adapter_and_a_union_are_followed_reproduced_and_remixed(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada, of_xl = people.ada, {**FEW, "model": XL, "size": "64x64"}
    offered = await ada.autocomplete("control", focused="net", value="", model=XL, prompt=RED, image=SEA)
    assert {each["value"] for each in offered} == {"xl-canny", "xl-adapter", "xl-union"}
    first_of = {"image": SEA, "net": "xl-adapter", "strength": 0.6}
    second_of = {"image2": Upload("hill.png", png(100, 140)), "net2": "xl-union", "preprocessor2": "softedge"}
    asked = await ada.slash("control", **of_xl, **first_of, **second_of, during2="50-100%")
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    (image,), (first, second) = job.images, job.request.spec.controls
    assert (first.kind, second.kind, second.mode) == (ADAPTER, UNION, "softedge")
    assert first.sha256 != second.sha256 and {first.sha256, second.sha256} <= files_of(bot)
    assert image.recipe is not None and image.recipe.parents == (first.sha256, second.sha256)
    assert [each.control for each in Trace.parse(image.recipe.trace).forwards()] == [(), (2,)]
    posted = message.attachments[0].data
    assert read_recipe(posted).spec.controls == (first, second)
    assert len(message.attachments) == 2, "the map that the Union saw is shown"
    recipe = await told(discord, await ada.click(message, "Recipe"))
    hashes = (f"`{each.network_sha256[:10]}`" for each in (first, second))
    assert all(each in recipe.text for each in (*hashes, "softedge (softedge)", "strength 0.6"))
    again = await until_done(discord, await ada.slash("reproduce", picture=f"{job.id}-0"))
    assert again.attachments[0].data == posted
    form = await ada.click(message, "Remix")
    remixed = await bot.ended(await ada.submit_modal(form, {"prompt": "a green square"}))
    assert (remixed.request.spec.prompt, remixed.request.spec.controls) == ("a green square", (first, second))
    assert remixed.status is Status.DONE


async def test_what_cannot_be_followed_is_refused_in_a_sentence_and_costs_nothing(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    before = files_of(bot)

    async def refusal(**options: object) -> str:
        asked = await people.bo.forging.slash("control", **{**FEW, "image": SEA, **options})
        return (await told(discord, asked)).text

    assert is_said(UnknownControlError, await refusal(net="gone"))
    assert is_said(ControlMismatchError, await refusal(net="xl-canny"))
    assert is_said(ControlSpanError, await refusal(during="the first half"))
    union = {"net": "xl-union", "model": XL}
    assert is_said(ControlModeError, await refusal(**union, preprocessor="none"))
    assert is_said(ControlModeUnknownError, await refusal(**union, preprocessor="map:tile"))
    assert is_said(SecondNetMissingError, await refusal(image2=SEA))
    assert "begin" in await refusal(during="0.6-0.4")
    models = tuple(bot.generation.catalog.models)
    bot.generation.catalog = Catalog(tuple(_without_controls(each) for each in models))
    assert is_said(NoControlError, await refusal())
    bot.generation.catalog = Catalog(models)
    assert files_of(bot) == before


async def test_nothing_is_fetched_or_kept_for_a_member_who_is_blocked(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    photo = people.bo.say("look", files=[SEA])
    await people.mo.slash("block", member=people.ada.user)
    for asked in (
        await people.ada.slash("control", image=SEA, **FEW),
        await people.ada.context_menu("Use as guide", photo),
    ):
        assert asked.modal is None
        await told(discord, asked)
    assert files_of(bot) == set() and not list((bot.data_dir / "forms").glob("*"))


async def test_an_upload_stays_its_uploaders_and_goes_with_their_pictures(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    both = {"image": SEA, "net": "depth", "image2": Upload("hill.png", png(100, 140)), "net2": "edges-canny"}
    asked = await people.ada.slash("control", **both, **FEW)
    message, job = await until_done(discord, asked), await bot.job_of(asked)
    given = set(job.request.spec.sources)
    assert job.is_from_upload and len(given) == 2
    refused = await told(discord, await people.bo.click(message, "Reroll"))
    assert refused.text == str(NotYourUploadError()) or is_said(NotYourUploadError, refused.text)
    assert given <= files_of(bot)
    await people.ada.click(message, "Delete")
    await discord.wait_for(lambda: not given & files_of(bot))


def _without_controls(model: Model) -> Model:
    return replace(model, controls=())
