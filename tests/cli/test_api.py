"""The API in the shell: keys of its operator, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import re
import threading
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from cli import api
from cli.app import app
from config import Settings, load
from db.engine import Database
from db.stores.api_keys import ApiKeyStore
from generation.clock import utc_now
from generation.errors import ConfigurationError
from tests.patience import PATIENCE_S


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


async def find(folder: Path, key: str) -> bool:
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        return await ApiKeyStore(database, clock=utc_now).find(key) is not None


def test_a_key_is_made_listed_and_revoked(folder: Path) -> None:
    status, printed = run("token", "create", "--name", "laptop")
    key = printed.strip()
    assert status == 0 and re.fullmatch(r"atl_[\w-]{43}", key)
    assert asyncio.run(find(folder, key))
    assert run("token", "list")[1].startswith("laptop: made 20")
    assert run("token", "revoke", "--name", "laptop")[0] == 0
    assert not asyncio.run(find(folder, key))
    assert run("token", "revoke", "--name", "laptop")[0] == 1
    assert run("token", "list") == (0, "There are no keys.\n")


async def test_keys_are_made_and_revoked_while_the_bot_runs(folder: Path) -> None:
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        keys = ApiKeyStore(database, clock=utc_now)
        status, printed = await asyncio.to_thread(run, "token", "create", "--name", "laptop")
        assert status == 0 and await keys.find(printed.strip()) is not None, printed
        assert (await asyncio.to_thread(run, "token", "list"))[1].startswith("laptop: made 20")
        assert (await asyncio.to_thread(run, "token", "revoke", "--name", "laptop"))[0] == 0
        assert await keys.find(printed.strip()) is None


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"api_host": "0.0.0.0"}, "ATELIER_API_TLS=true"),
        ({"api_host": "::"}, "ATELIER_API_TLS=true"),
        ({"api_host": "192.168.1.2"}, "keys would travel unsealed"),
    ],
)
def test_others_reach_it_only_through_tls(chosen: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        api.require_servable(Settings(api_port=1, **chosen))  # type: ignore[arg-type]
    api.require_servable(Settings(api_port=1, api_tls=True, **chosen))  # type: ignore[arg-type]
    for loopback in ("127.0.0.1", "127.0.0.2", "::1"):
        api.require_servable(Settings(api_port=1, api_host=loopback))


def test_an_address_is_an_address(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="ATELIER_API_HOST cannot be used"):
        load(api_host="example.org")


def test_without_the_extra_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = util.find_spec
    monkeypatch.setattr(api, "find_spec", lambda name: None if name == "fastapi" else find_spec(name))
    status, printed = run("api")
    assert (status, "pip install 'atelier-bot[api]'" in printed) == (2, True), printed
    assert "Traceback" not in printed


def test_a_port_that_is_taken_is_named() -> None:
    with api.bind("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 is in use"):
            api.bind("127.0.0.1", port)


async def test_the_loop_turns_while_the_packages_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are many, and Python compiles them at the first start: Discord would wait."""
    has_turned = threading.Event()
    asyncio.get_running_loop().call_later(0, has_turned.set)

    def load() -> None:
        assert has_turned.wait(PATIENCE_S), "the loop waited for the packages"

    monkeypatch.setattr(api, "_load_packages", load)
    rooms = cast(Any, SimpleNamespace())
    with pytest.raises(ConfigurationError, match="ATELIER_WEB_CLIENT_SECRET"):  # that is what comes next
        async with api.open_api(Settings(web_url="http://127.0.0.1:9"), rooms):
            raise AssertionError
