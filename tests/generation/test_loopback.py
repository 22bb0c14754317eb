"""Settings, proxies and discord.py agree on which addresses are this machine's own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from yarl import URL

from cli.network import proxy_for
from cogs.endpoints import set_base_url
from config import Settings
from generation.errors import ConfigurationError
from generation.loopback import is_loopback_host, is_loopback_url

OURS = ["localhost", "127.0.0.1", "127.8.9.10", "::1"]
OTHERS = ["", "discord.com", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "0.0.0.0", "::2", "127.1"]
FOREIGN_URLS = [
    "",
    "http://",
    "http://127.0.0.1",
    "http://127.0.0.1:port",
    "https://127.0.0.1:8080",
    "http://discord.com:8080",
    "http://127.0.0.1:8080@example.org/",
    "http://localhost:80@example.org:80",
    "http://[::1",
]


@pytest.mark.parametrize("host", OURS)
def test_what_is_this_machine_is_spoken_to_without_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    netloc = f"[{host}]" if ":" in host else host
    url = f"http://{netloc}:8080"
    assert is_loopback_host(host)
    assert is_loopback_url(url)
    assert proxy_for(URL(url)) is None
    assert Settings(discord_url=url).discord_url == url


@pytest.mark.parametrize("host", OTHERS)
def test_what_is_another_machine_is_not_ours(host: str) -> None:
    assert not is_loopback_host(host)
    assert not is_loopback_url(f"http://{host}:8080")


@pytest.mark.parametrize("url", FOREIGN_URLS)
def test_an_address_elsewhere_is_refused_by_the_settings_and_before_it_is_used(url: str) -> None:
    with pytest.raises(ValidationError, match="must be a loopback address"):
        Settings(discord_url=url)
    with pytest.raises(ConfigurationError, match="is not a loopback address"):
        set_base_url(url)
