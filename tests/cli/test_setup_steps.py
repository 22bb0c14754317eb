"""Parts of `setup`: `.env` changed in one step, tokens told apart, permissions found, recipes as in the README."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from cli.discord_api import Application, Server, build_invite_link, fetch_channels, fetch_servers, find_application_id
from cli.env_file import read_written
from cli.env_writer import write_settings
from cli.guide import _server
from cli.guide.questions import Questions
from cli.guide.recipes import RECIPES
from config import Settings
from discord_sandbox import Permission, Sandbox
from generation.errors import ConfigurationError
from generation.models.hub import is_hub_id

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("model", "owner_ids", "discord_token")


def read(home: Path) -> dict[str, str]:
    return {name: each.text for name, each in read_written(home, NAMES).items()}


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ATELIER_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ATELIER_MODEL=old\n", "ATELIER_MODEL=new\n"),
        ("export ATELIER_MODEL = 'o#ld'  # why\nX=1", "export ATELIER_MODEL =new  # why\nX=1"),
        ('# a\n\n\nATELIER_MODEL="old"\r\n# b\r\n', "# a\r\n\r\n\r\nATELIER_MODEL=new\r\n# b\r\n"),
        ("X='C:\\new'\natelier_model=old\n", "X='C:\\new'\natelier_model=new\n"),
        ("#ATELIER_MODEL=paintbox\nX=1\n", "#ATELIER_MODEL=paintbox\nATELIER_MODEL=new\nX=1\n"),
        ("X=1", "X=1\nATELIER_MODEL=new\n"),
        ("ATELIER_MODEL=\n", "ATELIER_MODEL=new\n"),
        ("\ufeffATELIER_MODEL=old\n", "ATELIER_MODEL=new\n"),
    ],
)
def test_one_line_changes_and_all_else_stays(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(before.encode())
    assert write_settings(tmp_path, {"model": "new"})
    assert (file.read_bytes().decode(), stat.S_IMODE(file.stat().st_mode)) == (after, 0o600)
    assert read(tmp_path) == {"model": "new"}
    modified = file.stat().st_mtime_ns
    assert not write_settings(tmp_path, {"model": "new"})
    assert file.stat().st_mtime_ns == modified


@tried(max_examples=40)
@given(
    value=st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" \\#='\"$`"), max_size=40
    )
)
def test_a_value_reads_as_it_was_written_or_is_refused(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    text = "A=1\n# ATELIER_MODEL=x\nATELIER_OWNER_IDS='3' # mine\n"
    (home / ".env").write_text(text)
    try:
        write_settings(home, {"model": value, "owner_ids": "7"})
    except ConfigurationError:
        assert (home / ".env").read_text() == text
        return
    trimmed = read(home)
    assert trimmed.get("model", "") in (value, value.strip(), value.strip().strip("\"'").strip())
    assert trimmed["owner_ids"] == "7"


def test_what_wins_over_the_file_is_named_instead_of_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("ATELIER_DISCORD_TOKEN_FILE=/run/token\n")
    with pytest.raises(ConfigurationError, match="names a file that holds this value"):
        write_settings(tmp_path, {"discord_token": "a.b.c"})
    monkeypatch.setenv("ATELIER_MODEL", "other")
    with pytest.raises(ConfigurationError, match="set in the environment, which wins"):
        write_settings(tmp_path, {"model": "new"})
    assert (tmp_path / ".env").read_text() == "ATELIER_DISCORD_TOKEN_FILE=/run/token\n"


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("X=1\n")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigurationError, match=r"does not fit on the disk\. Make room"):
        write_settings(tmp_path, {"model": "new"})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(".env", "X=1\n")]


def test_a_link_stays_a_link_and_a_new_home_is_made(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("X=1\n")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    write_settings(tmp_path, {"model": "new"})
    assert (tmp_path / ".env").is_symlink() and "ATELIER_MODEL=new" in (tmp_path / "real").read_text()
    write_settings(tmp_path / "a" / "b", {"model": "new"})
    assert read(tmp_path / "a" / "b") == {"model": "new"}


@pytest.mark.parametrize("text", ["a.b.c", "MTIz.b", "MTIz..c", "x" * 70, "", ".", "MTIz.b.c.d", "YWJj.b.c"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not"):
        find_application_id(text)


async def test_the_application_is_the_one_of_the_token() -> None:
    async with Sandbox() as server:
        assert find_application_id(server.token) == server.application.id
    assert build_invite_link(5).endswith("client_id=5&scope=bot+applications.commands&permissions=274878024704")


async def test_permissions_are_those_that_discord_grants(tmp_path: Path) -> None:
    attach, everything = int(Permission.ATTACH_FILES), int(Permission.ADMINISTRATOR)
    async with Sandbox() as server:
        settings = Settings(discord_url=server.url, data_dir=tmp_path)
        guild = server.add_guild("One")
        role = guild.add_role("painters")
        guild.bot_member.add_role(role)
        channels = {name: guild.add_channel(name) for name in ("open", "closed", "role", "member")}
        for name in ("closed", "role", "member"):
            channels[name].set_overwrite(guild.everyone, deny=attach)
        channels["role"].set_overwrite(role, allow=attach)
        channels["member"].set_overwrite(role, allow=attach)
        channels["member"].set_overwrite(server.application.bot, deny=attach)
        for number in range(205):
            server.add_guild(f"Server {number}")
        assert len(await fetch_servers(settings, server.token)) == 206
        found = await fetch_channels(settings, server.token, Server(guild.id, guild.name), server.application.id)
        lacking = ("Attach Files",)
        assert [(each.name, each.missing) for each in found] == [
            ("open", ()),
            ("closed", lacking),
            ("role", ()),
            ("member", lacking),
        ]
        guild.set_permissions(role, everything)
        found = await fetch_channels(settings, server.token, Server(guild.id, guild.name), server.application.id)
        assert not any(each.missing for each in found)
        assert not server.violations


def test_no_network_is_said_and_the_link_still_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(discord_url="http://127.0.0.1:1", data_dir=tmp_path)
    questions = Questions(is_asking=False)
    place = _server.choose_place(settings, questions, "a.b.c", Application(5, "Atelier", 5, 0, ""), None)
    said = capsys.readouterr().out
    assert place.channel is None and "client_id=5&" in said and "Discord cannot be reached" in said


def test_the_recipes_are_those_of_the_readme() -> None:
    table = (ROOT / "README.md").read_text()
    for recipe in RECIPES:
        assert is_hub_id(recipe.hub_id)
        row = next(
            line for line in table.splitlines() if f"models add {recipe.hub_id} --half --name {recipe.name}`" in line
        )
        assert f"| {recipe.size_gb:g} GB | {recipe.memory_gb} GB" in row and row.endswith(f"| {recipe.licence} |")
        assert recipe.name in row
