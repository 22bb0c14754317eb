"""The pages for orchestrators: what they answer, to whom, and that no stranger shuts others out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from cli.http_pages import MOST_CONNECTIONS, Pages, format_address, require_port, serve_pages
from generation.errors import ConfigurationError

PATHS = ("/livez", "/readyz", "/healthz")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fetch(port: int, path: str = "/healthz", **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def send(port: int, text: str) -> str:
    """Return what is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode("latin-1"))
    said = (await reader.read()).decode("latin-1")
    writer.close()
    return said


async def test_well_is_200_and_unwell_is_503_with_the_reason() -> None:
    port, problems = free_port(), list[str]()
    async with serve_pages(port, Pages(facts=lambda: {"problems": problems})):
        assert (await fetch(port))[0] == 200
        problems.append("Discord: connecting")
        status, body = await fetch(port)
        assert status == 503
        assert '"problems": ["Discord: connecting"]' in body


async def test_alive_and_ready_are_asked_apart() -> None:
    port, ready = free_port(), {"discord": True, "database": True, "worker": False}

    async def list_readiness() -> dict[str, bool]:
        return ready

    async with serve_pages(port, Pages(facts=dict, list_readiness=list_readiness)):
        assert await fetch(port, "/livez") == (200, "ok\n")
        assert await fetch(port, "/readyz") == (503, '{"discord": true, "database": true, "worker": false}')
        ready["worker"] = True
        assert (await fetch(port, "/readyz"))[0] == 200


@asynccontextmanager
async def pages(host: str = "127.0.0.1") -> AsyncIterator[int]:
    port = free_port()
    async with serve_pages(port, Pages(facts=dict), host=host):
        yield port


@pytest.mark.parametrize("path", PATHS)
async def test_on_a_loopback_address_only_loopback_names_are_answered(path: str) -> None:
    """A web page that a browser here has open may name this machine as it likes (DNS rebinding)."""
    async with pages() as port:
        for name in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", ""):
            status, body = await fetch(port, path, Host=name)
            assert (status, body.partition(" ")[0]) == (421, "This"), name
        for name in ("localhost", f"localhost:{port}", "LOCALHOST:1", f"127.0.0.1:{port}", "[::1]:8790", "127.0.0.2"):
            assert (await fetch(port, path, Host=name))[0] == 200, name


async def test_on_another_address_every_name_is_answered() -> None:
    async with pages("0.0.0.0") as port:
        assert (await fetch(port, "/livez", Host=f"atelier:{port}"))[0] == 200


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\n\r\n", 421),
        ("GET http://evil.example/livez HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        ("POST /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        ("GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("GET //livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("GET /livez\x00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        (f"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {'x' * 20_000}\r\n\r\n", 400),
        ("no HTTP at all\r\n\r\n", 400),
    ],
)
async def test_odd_requests_are_refused(request_text: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with pages() as port:
        said = await send(port, request_text)
        assert said.split(" ")[1] == str(status), said
        assert "Traceback" not in said
        assert (await fetch(port, "/livez"))[0] == 200
    assert caplog.records == [], "a stranger fills no log"


async def test_many_silent_connections_shut_nobody_out() -> None:
    async with pages() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * MOST_CONNECTIONS)]
        assert (await fetch(port, "/livez"))[0] == 200
        assert await silent[0][0].read() == b"", "the oldest was closed"
        for _, writer in silent:
            writer.close()


async def test_the_answers_say_little_of_the_program() -> None:
    async with pages() as port:
        said = await send(port, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert "Server: Atelier\r\n" in said
    assert "aiohttp" not in said
    assert "Cache-Control: no-store\r\n" in said


async def test_a_taken_port_is_one_sentence() -> None:
    async with pages() as port:
        with pytest.raises(ConfigurationError, match=f"Port {port} of this machine is in use"):
            async with serve_pages(port, Pages(facts=dict)):
                pass
        with pytest.raises(ConfigurationError, match=f"Port {port} of this machine is in use"):
            require_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, r"Port 80 is kept for the system, and this user may not open it\. Set ATELIER_HEALTH_PORT"),
        (errno.EADDRNOTAVAIL, r"Port 80 cannot be opened on 192\.0\.2\.1 \(Cannot assign requested address\)"),
    ],
)
async def test_a_port_that_cannot_be_opened_is_not_called_in_use(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    async def refuse(*args: object) -> None:
        raise OSError(number, "as the system says")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", refuse)
    with pytest.raises(ConfigurationError, match=says):
        async with serve_pages(80, Pages(facts=dict), host="192.0.2.1"):
            pass


def test_the_address_is_one_that_can_be_opened() -> None:
    assert format_address("0.0.0.0", 8790) == "http://127.0.0.1:8790"
    assert format_address("::", 8790) == "http://[::1]:8790"
    assert format_address("192.0.2.1", 80) == "http://192.0.2.1:80"
