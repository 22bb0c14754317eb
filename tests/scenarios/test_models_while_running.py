"""Models are added, set and removed by the command line while the bot runs; members and operators see it at once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli import models as command
from cli.model_defaults import set_defaults
from cogs.common.model_lines import UNGUIDED
from discord_sandbox import Permission, Sandbox, ScriptedUser
from generation.errors import UncheckedError, UnknownModelError
from generation.jobs.job import Job, Status
from generation.models.hashing import digest_file
from generation.models.registry import REGISTER
from generation.policy.guild_settings import GuildSettings
from generation.safety.visibility import SafetyLevel
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import REAL, save_checker, save_toy
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.messages import is_said
from tests.patience import until
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, until_done, until_shown
from tests.scenarios.test_operators import told

RED = "a red circle on a blue background"
NAME = "photo-lightning-4step"


class Harness:
    """The bot with a models folder, and a person in a channel where a model without a checker may paint."""

    def __init__(self, discord: Sandbox, people: People, bot: LivingBot, models_dir: Path) -> None:
        self.discord, self.people, self.bot, self.models_dir = discord, people, bot, models_dir
        den = people.guild.add_channel("den", nsfw=True)
        self.ada = discord.act_as(people.ada.user, den)
        self.boss = people.mo.forging
        bot.client.services = replace(bot.services, owner_ids=frozenset({people.mo.user.id}))

    async def add(self, path: Path, name: str = NAME) -> None:
        command.add(self.models_dir, str(path), say=lambda line: None, name=name)
        await until(lambda: name in self.offered)

    async def set(self, **options: Any) -> None:
        await self.change(set_defaults, NAME, **options)

    async def remove(self) -> None:
        command.remove(self.models_dir, NAME, say=lambda line: None)
        await until(lambda: NAME not in self.offered)

    async def change(self, work: Callable[..., Any], *words: str, **options: Any) -> None:
        """Do what the command line does, and wait until the bot has seen it."""
        before = self.bot.generation.catalog
        work(self.models_dir, *words, say=lambda line: None, **options)
        await until(lambda: self.bot.generation.catalog is not before)

    async def spoil(self, file: Path) -> None:
        """Let the register say that a file that was added was another one."""
        register = self.models_dir / REGISTER
        text = register.read_text().replace(digest_file(file), "0" * 64)
        await self.change(lambda *_, say: register.write_text(text))

    @property
    def offered(self) -> list[str]:
        return [model.name for model in self.bot.generation.catalog.models]

    async def paint(self, **options: Any) -> Job:
        asked = await self.ada.slash("imagine", **({"prompt": RED, "model": NAME} | options))
        await until_done(self.discord, asked)
        return await self.bot.job_of(asked)

    async def completions(self) -> list[str]:
        return [each["value"] for each in await self.ada.autocomplete("imagine", focused="model", value="photo")]


@pytest.fixture(autouse=True)
def load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a model loads is tried in a process of its own, and tested elsewhere."""
    monkeypatch.setattr(command, "require_loadable", lambda model: None)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


async def open_house(
    discord: Sandbox, people: People, folder: Path, blank_database: Path, **options: Any
) -> AsyncIterator[Harness]:
    models_dir = folder / "models"
    bot = LivingBot(discord, folder, blank_database, models_dir=models_dir, **options)
    await bot.start()
    yield Harness(discord, people, bot, models_dir)
    await bot.stop()


@pytest.fixture
async def harness(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[Harness]:
    async for made in open_house(discord, people, tmp_path, blank_database):
        yield made


async def test_what_is_added_set_and_removed_holds_without_a_restart(harness: Harness, toy: Path) -> None:
    await harness.paint(model="paintbox", steps=1)
    pid = harness.bot.worker.pid
    assert pid is not None
    refused = await told(harness.discord, await harness.ada.slash("imagine", prompt=RED, model=NAME))
    assert is_said(UnknownModelError, refused.text)
    assert await harness.completions() == []

    await harness.add(toy)
    assert await harness.completions() == [NAME]
    spec = (await harness.paint(aspect="1:1")).request.spec
    assert (spec.steps, spec.guidance, spec.sampler, spec.width_px) == (4, 1.0, "Euler SGM Uniform", 512)

    await harness.set(steps=2, guidance=3.0, negative="blurry", prefix="masterpiece", clip_skip=2)
    spec = (await harness.paint()).request.spec
    assert (spec.prompt, spec.negative) == (f"masterpiece, {RED}", "blurry")
    assert (spec.steps, spec.guidance, spec.clip_skip) == (2, 3.0, 2)

    await harness.remove()
    refused = await told(harness.discord, await harness.ada.slash("imagine", prompt=RED, model=NAME))
    assert is_said(UnknownModelError, refused.text)
    assert await harness.completions() == []
    assert harness.bot.worker.pid == pid, "the worker was restarted"


async def test_a_job_that_waits_for_a_removed_model_fails_and_costs_nothing(harness: Harness, toy: Path) -> None:
    await harness.add(toy)
    harness.bot.generation.pause(True)
    waiting = await harness.ada.slash("imagine", prompt=RED, model=NAME, count=2)
    await until_shown(harness.discord, waiting)
    await harness.remove()
    harness.bot.generation.pause(False)
    message = await until_done(harness.discord, waiting)
    job = await harness.bot.job_of(waiting)
    assert [(image.status, image.error, image.charged) for image in job.images] == [
        (Status.FAILED, UnknownModelError.code, 0)
    ] * 2
    assert not message.attachments
    assert (await harness.paint(model="paintbox", steps=1)).status is Status.DONE


async def test_a_broken_register_keeps_the_models_and_is_told_to_the_operator(
    harness: Harness, toy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.add(toy)
    good = (harness.models_dir / REGISTER).read_bytes()
    with caplog.at_level(logging.WARNING):
        (harness.models_dir / REGISTER).write_bytes(b"{")
        await until(lambda: "action=models-unreadable" in caplog.text)
        assert (await harness.paint()).status is Status.DONE
    assert caplog.text.count("action=models-unreadable") == 1
    problem = "The models folder has changed and cannot be used as it is."
    assert problem in (await told(harness.discord, await harness.boss.slash("operator state"))).text
    (harness.models_dir / REGISTER).write_bytes(good)
    await until(lambda: not list(harness.bot.parts.problems))


async def test_a_negative_prompt_that_cannot_work_is_said_to_the_member_alone(harness: Harness, toy: Path) -> None:
    await harness.add(toy)
    asked = await harness.ada.slash("imagine", prompt=RED, model=NAME, negative="green")
    await until_done(harness.discord, asked)
    await harness.discord.wait_for(lambda: asked.followups)
    note = asked.followups[-1]
    assert note.is_ephemeral and "The negative prompt has no effect" in note.text


async def test_a_server_chooses_defaults_of_its_own(harness: Harness, toy: Path) -> None:
    await harness.add(toy)
    manager = act_as_manager(harness)
    denied = await told(harness.discord, await harness.ada.forging.slash("defaults set", model=NAME, steps=7))
    assert harness.bot.generation.catalog.get(NAME).name not in denied.text and "steps" not in denied.text
    text = (await told(harness.discord, await manager.slash("defaults set", model=NAME, steps=7, sampler="Euler"))).text
    assert "7 steps, guidance 1, Euler, 512 px" in text and is_said(UNGUIDED, text)
    await told(harness.discord, await manager.slash("defaults set", model=NAME, guidance=4, negative="blurry"))
    spec = (await harness.paint()).request.spec
    assert (spec.steps, spec.guidance, spec.sampler, spec.negative) == (7, 4.0, "Euler", "blurry")
    chosen = (await harness.paint(steps=1, negative="green")).request.spec
    assert (chosen.steps, chosen.guidance, chosen.negative) == (1, 4.0, "green")
    assert (await harness.paint(negative="-")).request.spec.negative == ""
    await told(harness.discord, await manager.slash("rules add", text="blurry", reason="No blur."))
    assert (await harness.paint()).status is Status.DONE, "a member is blamed for the server's own negative prompt"
    refused = await told(
        harness.discord, await harness.ada.slash("imagine", prompt=RED, model=NAME, negative="blurry x")
    )
    assert "No blur." in refused.text
    await told(harness.discord, await manager.slash("defaults set", model=NAME, negative="-"))
    assert (await harness.paint()).request.spec.negative == ""
    await told(harness.discord, await manager.slash("defaults reset", model=NAME))
    assert (await harness.paint()).request.spec.steps == 4


def act_as_manager(harness: Harness) -> ScriptedUser:
    member = harness.people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
    return harness.discord.act_as(member, harness.people.general)


async def test_a_safety_checker_judges_as_soon_as_it_is_added_and_no_longer_once_it_is_removed(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path
) -> None:
    checker = save_checker(tmp_path / "strict", threshold=-1.0)
    async for harness in open_house(
        discord, people, tmp_path, blank_database, engine=DEFAULT_ENGINE, thresholds=SHOWS_ANYTHING
    ):
        paint = partial(harness.paint, model="paintbox", steps=1)

        await harness.bot.choose(GuildSettings(guild_id=people.guild.id, safety=SafetyLevel.BLOCK))
        assert (await paint()).images[0].status is Status.DONE
        pid = harness.bot.worker.pid
        await harness.change(command.add, str(checker), name="strict")
        judged = (await paint()).images[0]
        assert judged.status is Status.WITHHELD and judged.judgement is not None
        assert judged.judgement.margins["strict concept"] > 0

        await harness.spoil(checker / "model.safetensors")
        failed = (await paint()).images[0]
        assert (failed.status, failed.error, failed.charged) == (Status.FAILED, UncheckedError.code, 0)
        told_why = (await told(discord, await harness.boss.slash("operator models"))).text
        assert "strict" in told_why and "it has changed since it was added" in told_why

        await harness.change(command.remove, "strict")
        assert (await paint()).images[0].status is Status.DONE
        assert harness.bot.worker.pid == pid, "the worker was restarted"


async def test_operators_see_what_is_in_memory(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path, toy: Path
) -> None:
    """With real models: the checkpoint in one file that was just added paints, and is named with its size."""
    file = save_checkpoint(save_toy(tmp_path / "real", sizes=REAL), tmp_path / "some.safetensors")
    async for harness in open_house(discord, people, tmp_path, blank_database, engine=DEFAULT_ENGINE):
        await harness.bot.choose(GuildSettings(guild_id=people.guild.id, safety=SafetyLevel.OFF))
        await harness.add(file)
        listed = (await told(discord, await harness.boss.slash("operator models"))).text
        assert "Not in memory" in listed and "4 steps, guidance 1, Euler SGM Uniform, 512 px" in listed
        job = await harness.paint(size="64x64")
        assert job.status is Status.DONE and job.images[0].recipe is not None
        assert job.images[0].recipe.model_sha256 == harness.bot.generation.catalog.get(NAME).sha256
        listed = (await told(discord, await harness.boss.slash("operator models"))).text
        sizes = [each.num_bytes for each in harness.bot.generation.loaded_models]
        assert len(sizes) == 2 and min(sizes) > 2**20
        assert listed.count("In memory on cpu") == 2
