"""`setup` in a terminal and without one, against the local Discord: asked, repeated, interrupted, refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.guide import Options, run_setup
from config import Settings
from discord_sandbox import Permission, Sandbox
from tests.cli.terminal import ROOT, Terminal, open_terminal
from tests.generation.engine.toy import save_toy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a pty is a thing of Unix")
CLIENT_SECRET = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"


@asynccontextmanager
async def at_terminal(server: Sandbox, home: Path, *words: str, **more: str) -> AsyncIterator[Terminal]:
    told = {"ATELIER_DISCORD_URL": server.url, "ATELIER_HEALTH_PORT": "0"} | more
    terminal = await open_terminal("--home", str(home), "setup", *words, **told)
    try:
        yield terminal
    finally:
        terminal.close()


async def without_terminal(server: Sandbox, home: Path, *words: str, typed: str = "", **more: str) -> tuple[int, str]:
    """Return the exit status of `setup`, and what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "bot.py"), "--home", str(home), "setup", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=clean | {"ATELIER_DISCORD_URL": server.url, "ATELIER_HEALTH_PORT": "0"} | more,
    )
    out, _ = await process.communicate(typed.encode())
    return process.returncode or 0, out.decode(more.get("PYTHONIOENCODING", "utf-8"), errors="replace")


def everything(home: Path) -> dict[str, tuple[bytes, int, int]]:
    files = [path for path in home.rglob("*") if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


async def test_a_person_is_guided_to_the_channel_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    async with Sandbox(bot_name="Atelier") as server:
        async with at_terminal(server, tmp_path) as seen:
            await seen.answer("Token (it is not shown)", CLIENT_SECRET)
            await seen.see("This is the application's client secret, not the bot's token.")
            assert not server.journal.calls, "a secret that is no token is not sent"
            await seen.answer("Token (it is not shown)", f"{server.token[:-4]}AAAA")
            await seen.see("Discord refuses the token")
            await seen.answer("Token (it is not shown)", f"  Bot {server.token} ")
            await seen.see(f"client_id={server.application.id}&")
            await seen.see("The bot is in no server yet.")
            guild = server.add_guild("Harbour", has_bot=False)
            channel = guild.add_channel("general")
            server.add_bot(guild)
            channel.set_overwrite(guild.everyone, deny=int(Permission.ATTACH_FILES | Permission.EMBED_LINKS))
            await seen.answer("Press Enter to look again", "")
            await seen.see("In Harbour the bot lacks Embed Links, Attach Files in #general")
            channel.set_overwrite(guild.everyone)
            await seen.answer("Press Enter to look again", "")
            await seen.see("The bot may post in #general of Harbour.")
            await seen.answer("Which model?", "/nothing/here")
            await seen.see("There is nothing at '/nothing/here'.")
            await seen.answer("Which model?", "")
            await seen.answer("Check every picture", "perhaps")
            await seen.see("none of the answers")
            await seen.answer("Check every picture", "")
            await seen.answer("Discord ids of those who run the bot", "ada")
            await seen.see("ATELIER_OWNER_IDS cannot be used")
            await seen.answer("Discord ids of those who run the bot", "")
            await seen.see("type /imagine a red circle in #general of Harbour.")
            assert await seen.end() == 0
        assert server.token not in seen.screen and CLIENT_SECRET not in seen.screen
        assert "\x1b" not in seen.screen, "no escape sequences"
        file = tmp_path / ".env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert f"ATELIER_DISCORD_TOKEN={server.token}\n" in file.read_text()
        assert f"ATELIER_OWNER_IDS={server.world.owner.id}\n" in file.read_text()
        before = everything(tmp_path)
        async with at_terminal(server, tmp_path) as seen:
            for question in ("Keep this token, of Atelier?", "Which model?", "Check every", "Discord ids"):
                await seen.answer(question, "")
            assert await seen.end() == 0
        assert everything(tmp_path) == before
        status, said = await without_terminal(server, tmp_path)
        assert (status, everything(tmp_path)) == (0, before), said


async def test_ctrl_c_leaves_what_was_answered_and_nothing_else(tmp_path: Path) -> None:
    async with Sandbox(bot_name="Atelier") as server:
        (tmp_path / ".env").write_text("# mine\nOTHER=kept # why\n#ATELIER_DISCORD_TOKEN=\n#ATELIER_MODEL=paintbox\n")
        async with at_terminal(server, tmp_path) as seen:
            await seen.answer("Token (it is not shown)", server.token)
            await seen.see("Press Enter to look again")
            seen.interrupt()
            await seen.see("Stopped. What was answered is kept")
            assert await seen.end() == 130
        assert os.listdir(tmp_path) == [".env"]  # noqa: PTH208
        assert (tmp_path / ".env").read_text() == (
            "# mine\nOTHER=kept # why\n#ATELIER_DISCORD_TOKEN=\n"
            f"ATELIER_DISCORD_TOKEN={server.token}\n#ATELIER_MODEL=paintbox\n"
        )


async def test_without_a_terminal_options_answer_in_any_encoding(tmp_path: Path) -> None:
    async with Sandbox(bot_name="Atelier") as server:
        server.add_guild("Größe 🎨\x1b[2J").add_channel("größe")
        second = server.add_guild("Second")
        second.add_channel("lobby")
        latin = {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C", "ATELIER_DATA_DIR": str(tmp_path / "data")}
        words = ("--token-file", "-", "--memory", "full", "--no-safety-checker", "--owner-ids", "1,2")
        status, said = await without_terminal(server, tmp_path, *words, typed=f"{server.token}\r\n", **latin)
        assert status == 0, said
        assert "type /imagine a red circle in #größe of Größe \\U0001f3a8?[2J." in said
        kept = (tmp_path / ".env").read_text().splitlines()[1:]
        assert kept == [
            f"ATELIER_DISCORD_TOKEN={server.token}",
            "ATELIER_MEMORY=full",
            "ATELIER_SAFETY_CHECKER=false",
            "ATELIER_OWNER_IDS=1,2",
        ]
        status, said = await without_terminal(server, tmp_path, "--server", str(second.id), "--owner-ids", "none")
        assert status == 0 and "in #lobby of Second." in said and "Operators: none." in said
        assert not server.violations
    log = "".join(str(each) for each in (said, server.journal.calls[0].where))
    assert server.token not in log


@pytest.mark.parametrize(
    ("words", "typed", "says"),
    [
        ((), "", "There is no token, and it is not asked for. Use --token-file FILE"),
        pytest.param(("--token-file", "/no/such"), "", "/no/such is not there.", marks=pytest.mark.long),
        pytest.param(("--token-file", "-"), "  \n", "Nothing was given.", marks=pytest.mark.long),
        (("--token-file", "-"), "123456789012345678", "the id of an application or a user, not the bot's token"),
        pytest.param(
            ("--token-file", "-"),
            "ab" * 32,
            "the application's public key, not the bot's token",
            marks=pytest.mark.long,
        ),
        (("--token-file", "-"), "TOKEN", "Discord refuses the token: it was reset, or not copied whole."),
        pytest.param(("--token-file", "-"), "a b.c", "signs that no token has", marks=pytest.mark.long),
    ],
)
async def test_what_is_wrong_with_a_token_is_said_and_nothing_written(
    words: tuple[str, ...], typed: str, says: str, tmp_path: Path
) -> None:
    async with Sandbox() as server:
        other = f"{server.token[:-6]}zzzzzz"
        status, said = await without_terminal(server, tmp_path, *words, typed=typed.replace("TOKEN", other))
    assert (status, says in said) == (2, True), said
    assert everything(tmp_path) == {} and other not in said


@pytest.mark.long
async def test_a_model_of_ones_own_is_added_once_and_the_default(tmp_path: Path) -> None:
    toy = save_toy(tmp_path / "toy")
    async with Sandbox() as server:
        server.add_guild("One").add_channel("general")
        words = ("--model", str(toy), "--yes")
        status, said = await without_terminal(server, tmp_path, *words, ATELIER_DISCORD_TOKEN=server.token)
        assert status == 0 and "The default model is toy." in said, said
        kept = (tmp_path / ".env").read_text()
        assert "ATELIER_MODEL=toy\n" in kept and server.token not in kept, "what the environment says stays there"
        before = everything(tmp_path)
        status, said = await without_terminal(server, tmp_path, *words, ATELIER_DISCORD_TOKEN=server.token)
        assert (status, everything(tmp_path)) == (0, before), said
        status, said = await without_terminal(
            server, tmp_path, "--model", "paintbox", ATELIER_DISCORD_TOKEN=server.token, ATELIER_MODEL="toy"
        )
        assert status == 2 and "ATELIER_MODEL is set in the environment, which wins over .env." in said


async def test_a_full_disk_ends_setup_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    async with Sandbox() as server:
        server.add_guild("One").add_channel("general")
        settings = Settings(discord_url=server.url, discord_token=server.token, data_dir=tmp_path, health_port=0)
        status = await asyncio.to_thread(run_setup, settings, tmp_path, Options(takes_defaults=True))
    said = capsys.readouterr().out
    assert status == 1 and "BAD  Data folder: The disk is full" in said and "The bot would not start." in said
