"""The life of a key, as a new user would have it: the wheel, one command, OpenAI's client, and `/token` on Discord."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import Parser
from pathlib import Path

import openai
import pytest

from discord_sandbox import Interaction, Sandbox
from tests.patience import PATIENCE_S
from tests.project.test_wheel import Installed, installed, sdist, wheel  # noqa: F401 - fixtures

pytestmark = pytest.mark.long
READY_S = 180.0


@asynccontextmanager
async def serving(program: Installed, folder: Path, discord: Sandbox) -> AsyncIterator[str]:
    """Start `atelier serve` with the API; yield the address for clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER_", "PYTHON"))}
    chosen = {
        "HOME": str(program.home),
        "XDG_DATA_HOME": str(program.home),
        "ATELIER_DATA_DIR": str(folder / "data"),
        "ATELIER_DISCORD_URL": discord.url,
        "ATELIER_DISCORD_TOKEN": discord.token,
        "ATELIER_API_PORT": str(port),
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(program.bin / "atelier"), "serve", cwd=folder, env=clean | chosen, stdout=log, stderr=log
        )
    try:
        await discord.wait_until_ready(timeout_s=READY_S)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        await process.wait()


async def read_answer(discord: Sandbox, asked: Interaction) -> str:
    """Return what the bot answers to the one who asked, and to no one else."""

    def is_told() -> bool:
        return any(each.is_ephemeral and not each.is_loading for each in asked.messages)

    await discord.wait_for(is_told, timeout_s=PATIENCE_S)
    return next(each.text for each in asked.messages if each.is_ephemeral)


async def test_a_key_opens_the_installed_program_until_discord_revokes_it(
    installed: Installed,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with Sandbox(bot_name="Atelier", openapi=None) as discord:
        guild = discord.add_guild("Painters")
        ada = discord.act_as(guild.add_member(discord.add_user("ada")), guild.add_channel("general"))
        async with serving(installed, tmp_path, discord) as url:
            told = await read_answer(discord, await ada.slash("token create", name="laptop"))
            key = re.search(r"atl_[\w-]{43}", told)
            assert key is not None, told
            async with openai.AsyncOpenAI(api_key=key[0], base_url=url, max_retries=0, timeout=READY_S) as client:
                more = {"seed": 7, "steps": 4}
                answer = await client.images.generate(prompt="a red circle", size="256x256", extra_body=more)
                assert answer.data is not None
                assert base64.b64decode(answer.data[0].b64_json or "").startswith(b"\x89PNG")
                assert "a red circle" in await read_answer(discord, await ada.slash("history"))
                assert "laptop" in await read_answer(discord, await ada.slash("token list"))
                await read_answer(discord, await ada.slash("token revoke", name="laptop"))
                with pytest.raises(openai.AuthenticationError, match="opens nothing"):
                    await client.images.generate(prompt="a red circle", size="256x256", extra_body=more)
    assert key[0] not in (tmp_path / "log").read_text(), "a key is in no log"


def test_the_extra_names_what_the_api_needs(wheel: Path) -> None:  # noqa: F811
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(name).decode())
    assert "api" in told.get_all("Provides-Extra", [])
    needed = [each for each in told.get_all("Requires-Dist", []) if "extra == 'api'" in each.replace('"', "'")]
    assert {re.split(r"[^\w-]", each)[0] for each in needed} >= {"fastapi", "uvicorn", "python-multipart", "jinja2"}
