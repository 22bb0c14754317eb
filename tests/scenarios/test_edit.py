"""Edits by instruction over the wire: /edit, a menu, what is refused, kept, reproduced and erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from cogs.results._messages import IDENTICAL, TITLES
from discord_sandbox import Sandbox, Upload
from generation.images.metadata import read_recipe
from generation.jobs.errors import NotYourUploadError
from generation.jobs.job import Status
from generation.jobs.job_kind import JobKind
from generation.models.add import add_path
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.requests.cost import WORK, image_cost
from generation.requests.defaults import DefaultOverrides
from generation.requests.errors import CannotEditError, NoEditorError
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy_flow import save_toy_klein
from tests.generation.engine.trial_here import require_fitting_here
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, judged, until_done
from tests.scenarios.test_from_pictures import png
from tests.scenarios.test_settings_of_a_server import told
from tests.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
KLEIN, SNOW, SEA, HILL = "kleintoy", "make it snow", Upload("sea.png", png(128, 128)), Upload("hill.png", png(100, 150))
FEW = {"steps": 2, "seed": 7, "size": "64x64"}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("editors")
    save_toy_klein(root).rename(root / KLEIN)
    add_path(
        root / "models",
        root / KLEIN,
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
    models = tuple(_make_small(each) for each in catalog.models)
    living = LivingBot(
        discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, models=models, thresholds=SHOWS_ANYTHING
    )
    await living.start()
    yield living
    await living.stop()


def _make_small(model: Model) -> Model:
    """Return it without its checker; klein sees pictures at its native size, which is large for a test."""
    small = DefaultOverrides(native_px=128) if model.name == KLEIN else None
    return replace(model, safety_checker=None).with_defaults(small)


def files_of(bot: LivingBot) -> set[str]:
    return {path.stem for path in (bot.data_dir / "pictures").rglob("*.png")}


async def test_pictures_are_edited_by_command_and_menu_and_painted_again_to_the_byte(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    ada = people.ada
    offered = await ada.autocomplete("edit", focused="model", value="", what=SNOW, image=SEA)
    assert [each["value"] for each in offered] == [KLEIN], "only those that edit by instruction"
    asked = await ada.slash("edit", what=SNOW, image=SEA, image2=HILL, **FEW)
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    (image,), (first, second) = job.images, job.request.spec.references
    assert (job.status, job.request.spec.model) == (Status.DONE, KLEIN), (
        "what paints here cannot edit, so this one does"
    )
    assert is_said(TITLES[JobKind.EDITED], message.text) and job.is_from_upload
    assert {first.sha256, second.sha256} <= files_of(bot) and first.size_px != second.size_px
    assert (
        image.reserved
        == image_cost(image.spec, work=WORK["klein"])
        > image_cost(replace(image.spec, reference=UNSET), work=WORK["klein"])
    )
    posted = message.attachments[0].data
    assert read_recipe(posted).spec.references == (first, second)
    assert image.recipe is not None and image.recipe.parents == (first.sha256, second.sha256)
    recipe = await told(discord, await ada.click(message, "Recipe"))
    assert all(f"`{each.sha256[:12]}`" in recipe.text for each in (first, second))
    rerolled = await bot.ended(await ada.click(message, "Reroll"))
    assert rerolled.request.spec.references == (first, second) and rerolled.request.spec.seed != image.spec.seed
    form = await ada.click(message, "Remix")
    remixed = await bot.ended(await ada.submit_modal(form, {"prompt": "make it rain"}))
    assert (remixed.request.spec.prompt, remixed.request.spec.references) == ("make it rain", (first, second))
    form = await ada.context_menu("Use as start image", message)
    edited = await bot.ended(await ada.submit_modal(form, {"prompt": "make it night", "use": "edit"}))
    (seen,) = edited.request.spec.references
    assert (seen.sha256, edited.request.spec.start) == (image.file_sha256, None) and edited.status is Status.DONE
    assert edited.request.parent == image.id
    again = await until_done(discord, await ada.slash("reproduce", picture=f"{job.id}-0"))
    assert is_said(IDENTICAL, again.text) and again.attachments[0].data == posted


async def test_an_upload_is_edited_from_the_menu_stays_its_uploaders_and_goes_with_their_pictures(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    photo = people.ada.say("look", files=[SEA])
    form = await people.ada.context_menu("Use as start image", photo)
    sent = await people.ada.submit_modal(form, {"prompt": SNOW, "use": "edit"})
    message, job = await until_done(discord, sent), await bot.job_of(sent)
    given = set(job.request.spec.sources)
    assert job.is_from_upload and len(given) == 1 <= len(files_of(bot) & given)
    refused = await told(discord, await people.bo.click(message, "Reroll"))
    assert refused.text == str(NotYourUploadError()) or is_said(NotYourUploadError, refused.text)
    await people.ada.click(message, "Delete")
    await discord.wait_for(lambda: not given & files_of(bot))


async def test_what_cannot_edit_is_refused_in_a_sentence_and_costs_nothing(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    async def refusal(**options: object) -> str:
        asked = await people.bo.forging.slash("edit", **{"what": SNOW, "image": SEA, **FEW, **options})
        return (await told(discord, asked)).text

    assert is_said(CannotEditError, said := await refusal(model=PAINTBOX)) and KLEIN in said
    assert is_said(CannotEditError, await refusal(what=f"{SNOW} --model {PAINTBOX}"))
    catalog = bot.generation.catalog
    bot.generation.catalog = Catalog(tuple(each for each in catalog.models if each.name != KLEIN))
    assert is_said(NoEditorError, await refusal())
    form = await people.ada.context_menu("Use as start image", people.ada.say("look", files=[SEA]))
    assert form.modal is not None and "use" not in str(form.modal), "nothing to choose"
    bot.generation.catalog = catalog
    await people.mo.slash("block", member=people.ada.user)
    await told(discord, await people.ada.slash("edit", what=SNOW, image=SEA))
    assert files_of(bot) == set()
