"""A bot that lives through all that nobody should send, and what is true after each of it."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from safetensors.numpy import save_file

from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.errors import AtelierError
from generation.models.add import add_path
from generation.policy.quota import Usage
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, judged, until_done
from tests.tally import Tally

RED = "a red circle on a blue background"


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    log: io.StringIO = field(default_factory=io.StringIO)

    def manager(self) -> ScriptedUser:
        member = self.people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
        return self.discord.act_as(member, self.people.general)

    async def usage(self) -> Usage:
        return await self.bot.services.quotas.fetch_guild_usage(
            self.people.guild.id, since=self.bot.now().replace(hour=0, minute=0, second=0, microsecond=0)
        )

    async def paints(self, prompt: str = RED, **options: Any) -> Message:
        asked = await self.people.ada.forging.slash("imagine", **({"prompt": prompt, "steps": 1} | options))
        message = await until_done(self.discord, asked)
        assert len(message.attachments) == options.get("count", 1), message.text
        return message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(
    tmp_path_factory: pytest.TempPathFactory, blank_database: Path, tally: Tally
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        folder = tmp_path_factory.mktemp("bad")
        _add_lora_of_another_base(folder / "models")
        bot = LivingBot(discord, folder, blank_database, models_dir=folder / "models")
        made = Harness(discord, people, bot)
        handler = logging.StreamHandler(made.log)
        logging.getLogger().addHandler(handler)
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        await bot.start()
        yield made
        await bot.stop()
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)


def _add_lora_of_another_base(folder: Path) -> None:
    """“wide”, for Stable Diffusion XL; the bot paints with another model."""
    folder.mkdir()
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = np.ones((2, 2048), np.float16), np.ones((640, 2), np.float16)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, folder / "wide.safetensors")
    add_path(
        folder,
        folder / "wide.safetensors",
        say=lambda line: None,
        require_loadable=lambda model: None,
        require_fitting=lambda lora, folders: None,
    )


async def answer(harness: Harness, asked: Interaction) -> str:
    """What only the one who asked reads; whatever was public before it is gone."""

    def said_now() -> Message | None:
        first = asked.original_message if asked.ephemeral else None
        return asked.followups[-1] if asked.followups else first if first and not first.is_loading else None

    said = await harness.discord.wait_for(said_now)
    assert said is not None and said.is_ephemeral
    return said.text


async def refuses(harness: Harness, kind: type[AtelierError], **options: Any) -> None:
    """The private answer is that of `kind`; nothing was reserved or charged; no one else saw a thing; life goes on."""
    before, seen = await harness.usage(), len(harness.people.bo.list_visible_messages())
    said = await answer(harness, await harness.people.ada.forging.slash("imagine", **({"prompt": RED} | options)))
    assert is_said(kind, said), said
    assert "Incident" not in said, "it was foreseen"
    assert await harness.usage() == before
    assert await harness.bot.jobs.fetch_unfinished() == []
    assert len(harness.people.bo.list_visible_messages()) == seen
    await harness.paints()
