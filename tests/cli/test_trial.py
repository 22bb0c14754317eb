"""`sandbox` says what is in its way in words of its own, and joins the web pages to the local Discord."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.trial
from cli.api import DEFAULT_PORT, build_web_settings, require_servable
from cli.app import app
from cli.trial import run_trial
from config import load
from db.lock import FolderLock
from discord_sandbox import Sandbox, launch


def test_a_second_trial_in_the_same_folder_is_told_of_its_own_option(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "trial"):
        found = CliRunner().invoke(app, ["sandbox", "--port", "0", "--data-dir", str(tmp_path / "trial")])
    assert found.exit_code == 75 and found.stdout == "", "it may do later"
    assert found.stderr.startswith(f"atelier: Another Atelier is using the folder {tmp_path / 'trial'} (process ")
    assert found.stderr.endswith("Stop it first, or set another one with --data-dir.\n")


class Told:
    """Stands where the processes would be started, and keeps what they would be told."""

    def __init__(self) -> None:
        self.environment: Mapping[str, str] = {}
        self.pages: Mapping[str, str] = {}
        self.redirects: set[str] = set()
        self.owner = self.hint = ""

    async def __call__(
        self, command: list[str], *, environment: Callable[[Sandbox], Mapping[str, str]], hint: str, **_: object
    ) -> int:
        async with Sandbox(seed_world=True, openapi="") as discord:
            self.environment, self.hint = environment(discord), hint
            self.pages, self.redirects = discord.application.web_pages, discord.oauth2.redirect_uris
            self.owner = discord.world.users[
                int(self.environment.get("ATELIER_OWNER_IDS", discord.world.owner.id))
            ].username
        return 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    there = Told()
    monkeypatch.setattr(launch, "run_with_bot", there)
    return there


def test_the_pages_are_served_and_sign_in_with_the_local_discord(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the settings of a real bot beside it say."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    (tmp_path / ".env").write_text(
        "ATELIER_API_HOST=0.0.0.0\nATELIER_API_TLS=true\nATELIER_WEB_URL=https://pictures.example.org\n"
        "ATELIER_WEB_CLIENT_SECRET=real\nATELIER_API_PORT=443\nATELIER_OWNER_IDS=7\n"
    )
    assert run_trial(0, tmp_path / "trial") == 0
    for name, value in told.environment.items():
        monkeypatch.setenv(name, value)
    settings = load(tmp_path)
    require_servable(settings)
    web = build_web_settings(settings, dict)
    assert (settings.api_host, web.url) == ("127.0.0.1", f"http://127.0.0.1:{settings.api_port}")
    assert told.redirects == {web.redirect_url} and web.authorize_url.startswith(settings.discord_url)
    assert [*told.pages] == ["Gallery", "Operator, for Ada"] and told.owner == "ada"
    assert told.pages["Gallery"] == f"{web.url}/sign-in?to=/gallery" and web.url in told.hint


def test_a_port_that_is_taken_gives_way_to_the_next(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        monkeypatch.setattr(cli.trial, "DEFAULT_PORT", first)
        run_trial(0, tmp_path / "trial")
    assert first < int(told.environment["ATELIER_API_PORT"]) < first + 20
    assert DEFAULT_PORT == 8791


def test_without_their_packages_there_is_a_sandbox_without_pages(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.trial, "has_packages", lambda: False)
    assert run_trial(0, tmp_path / "trial") == 0
    assert told.environment["ATELIER_API_PORT"] == "0" and not told.pages and "pictures" not in told.hint
