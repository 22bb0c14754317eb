"""Which addresses a fleet may have, what a driver may see, and how its end is explained."""

from __future__ import annotations

import asyncio
import sys

import pytest

from generation.fleet import query
from generation.fleet.address import FleetAddress, FleetAddressError, parse_address
from generation.fleet.driver_process import build_environment, explain
from generation.fleet.messages import DriverConfig, Version
from tests.patience import PATIENCE_S

HEAD = FleetAddress("10.8.0.1", 6379, "secret")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.8.0.1", "10.8.0.1", 6379),
        ("192.168.1.5:7000", "192.168.1.5", 7000),
        ("100.64.3.4", "100.64.3.4", 6379),
        ("atelier-head-svc:6379", "atelier-head-svc", 6379),
        ("[fd00::2]:6380", "fd00::2", 6380),
        ("fd00::2", "fd00::2", 6379),
        ("127.0.0.1:6379", "127.0.0.1", 6379),
    ],
)
def test_private_addresses_and_names_are_taken(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)
    assert parse_address(FleetAddress(host, port, "").text) == (host, port)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1:6379", "2606:4700::1111", "0.0.0.0", "[::]:6379", "224.0.0.1"])
def test_a_public_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(FleetAddressError, match=r"not a private address.*WireGuard"):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["", ":6379", "10.8.0.1:", "10.8.0.1:0", "10.8.0.1:65536", "a b", "ray://x", "x:6379/"]
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(FleetAddressError, match="is not the address of a fleet"):
        parse_address(text)


def test_a_driver_sees_the_token_of_its_fleet_and_no_other_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "canary")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/of/another/cluster")
    environment = build_environment(HEAD)
    assert "canary" not in environment.values() and "/of/another/cluster" not in environment.values()
    assert (environment["RAY_AUTH_MODE"], environment["RAY_AUTH_TOKEN"]) == ("token", "secret")
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_ends_of_a_driver_are_explained_without_the_token() -> None:
    said = explain(["Unauthenticated: RPC error: InvalidAuthToken: Authentication token is missing"], HEAD)
    assert "does not take the token" in said and "secret" not in said
    assert "is `fleet head` running there" in explain(["nothing answers there for 60 s"], HEAD)
    assert explain(["something else"], HEAD) == ""


async def test_a_machine_without_a_part_of_the_fleet_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray says why in one line, prints the stack of its C++, and aborts."""
    said = "raylet_ipc_client.cc:85: Failed to connect to socket at address:/tmp/ray/session_1/sockets/raylet"
    lines = f"import sys; print({said!r}, *['stack'] * 200, sep=chr(10), file=sys.stderr); sys.exit(1)"

    async def spawn(address: FleetAddress) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", lines), stdin=pipe, stdout=pipe, stderr=pipe
        )

    monkeypatch.setattr(query, "spawn_driver", spawn)
    config = DriverConfig(epoch=0, version=Version("1", "a"), wait_s=5.0)
    with pytest.raises(query.FleetOutOfReachError, match=r"no part of its fleet runs on this machine.*--no-cards"):
        await query.ask_fleet(HEAD, config, "status", within_s=PATIENCE_S)
