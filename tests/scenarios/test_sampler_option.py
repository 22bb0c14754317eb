"""The option `sampler`, over the wire: the chosen model decides what is offered; other names are read, or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from discord_sandbox import Permission, ScriptedUser, Upload
from generation.models.catalog import Catalog
from generation.models.errors import SamplerNotOfModelError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.errors import UnknownSamplerError
from generation.requests.samplers import list_samplers
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.test_work_before_the_gate import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")
FLOW, DIFFUSION = list(list_samplers(is_flow=True)), list(list_samplers(is_flow=False))
GREY = ["Heun", "PLMS"]
"""Samplers that do not go with zero terminal SNR."""


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def three_kinds(harness: Harness) -> AsyncIterator[None]:
    """One model of each kind is offered; only the first is ever painted with."""
    kept = harness.bot.generation.catalog
    flow = replace(kept.default, name="flow", family="klein", loras=(), embeddings=())
    snr = replace(kept.default, name="snr", is_zero_snr=True)
    harness.bot.generation.catalog = Catalog((kept.default, flow, snr))
    yield
    harness.bot.generation.catalog = kept
    await harness.bot.choose(GuildSettings(guild_id=harness.people.guild.id, choices=GuildPreferences()))


async def offered(user: ScriptedUser, typed: str = "", command: str = "imagine", **options: str) -> list[str]:
    choices = await user.autocomplete(command, focused="sampler", value=typed, **options)
    return [choice["value"] for choice in choices]


@pytest.mark.parametrize("command", ["imagine", "img2img", "inpaint", "compare", "defaults set", "me set"])
async def test_those_of_the_chosen_model_are_offered(harness: Harness, command: str) -> None:
    ada = harness.people.ada
    assert sorted(await offered(ada, command=command)) == sorted(DIFFUSION), "those of the server's default model"
    assert sorted(await offered(ada, command=command, model="flow")) == sorted(FLOW)
    assert sorted(await offered(ada, command=command, model="snr")) == sorted({*DIFFUSION} - {*GREY})
    assert sorted(await offered(ada, "karr", command=command, model="flow")) == []
    assert await offered(ada, "karr", command=command, model="gone") == ["DPM++ 2M Karras"]


async def test_the_servers_default_model_decides_where_none_is_named(harness: Harness) -> None:
    choices = GuildPreferences(default_model="flow")
    await harness.bot.choose(GuildSettings(guild_id=harness.people.guild.id, choices=choices))
    assert await offered(harness.people.ada) == FLOW
    assert await offered(harness.people.ada, "ddim", model="paintbox") == ["DDIM", "DDIM SGM Uniform"]


async def test_a_comparison_of_models_is_offered_what_all_of_them_have(harness: Harness) -> None:
    found = await offered(harness.people.ada, command="compare", model="paintbox, flow")
    assert sorted(found) == sorted({*FLOW} & {*DIFFUSION})


@pytest.mark.parametrize(
    ("typed", "name"), [("euler a", "Euler a"), ("dpmpp_2m_karras", "DPM++ 2M Karras"), ("K_EULER_A", "Euler a")]
)
async def test_a_typed_name_is_read_as_other_tools_write_it(harness: Harness, typed: str, name: str) -> None:
    ada = harness.people.ada
    asked = [
        await ada.slash("imagine", prompt=RED, steps=1, sampler=typed),
        await ada.slash("imagine", prompt=f"{RED} --sampler {typed}", steps=1),
        await ada.slash("img2img", prompt=RED, steps=1, sampler=typed, image=Upload("a.png", picture())),
    ]
    for each in asked:
        assert (await harness.bot.ended(each)).images[0].spec.sampler == name


async def test_others_are_refused_in_the_sentence_that_names_what_there_is(harness: Harness) -> None:
    await refuses(harness, UnknownSamplerError, sampler="Eulr")
    await refuses(harness, UnknownSamplerError, sampler="DPM++ 2M SDE Exponential")
    for options in ({"model": "flow", "sampler": "DDIM"}, {"sampler": "DDIM", "prompt": f"{RED} --model flow"}):
        said = await answer(harness, await harness.people.ada.slash("imagine", **{"prompt": RED} | options))
        assert is_said(SamplerNotOfModelError, said, name="DDIM", model="flow", samplers=", ".join(FLOW))


async def test_a_members_own_sampler_is_read_and_refused_likewise(harness: Harness) -> None:
    ada = harness.people.ada
    said = await answer(harness, await ada.slash("me set", sampler="nope"))
    assert is_said(UnknownSamplerError, said, name="nope")
    assert "Euler a" in await answer(harness, await ada.slash("me set", sampler="k_euler_a"))


async def test_defaults_of_a_model_keep_to_its_samplers(harness: Harness) -> None:
    gil = harness.people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
    manager = harness.discord.act_as(gil, harness.people.general)
    said = await answer(harness, await manager.slash("defaults set", model="flow", sampler="DDIM"))
    assert is_said(SamplerNotOfModelError, said, name="DDIM", model="flow")
    said = await answer(harness, await manager.slash("defaults set", model="flow", sampler="lcm"))
    assert "LCM" in said
    said = await answer(harness, await manager.slash("defaults set", model="flow", sampler="nope"))
    assert is_said(UnknownSamplerError, said, name="nope")
