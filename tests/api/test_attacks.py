"""What is sent to do harm: each gets a short answer, costs nothing, and keeps no one else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api import server
from api.context import ApiLimits
from tests.api.harness import ADA, Api, opened_api
from tests.patience import PATIENCE_S, until

MODELS = "/v1/models"
BIG = b"[" + b"1," * 5_000_000 + b"1]"


async def say(api: Api, *chunks: bytes) -> bytes:
    """Send raw bytes; return all that comes back until the server hangs up."""
    port = int(api.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except (ConnectionResetError, BrokenPipeError):
        return b""
    finally:
        writer.close()


async def test_paths_lead_nowhere_else(api: Api) -> None:
    key = await api.services.api_keys.create(ADA, "raw")
    for path in (
        "/",
        "/v1",
        "/v1/",
        "//v1/models",
        "/V1/models",
        "/v1/models/",
        "/v1/models/../../etc/passwd",
        "/v1/..%2f..%2fetc/passwd",
        "/v1/%2e%2e/api/v1/key",
        "/v1;/models",
        "/v1/models%00",
        "/openapi.json/../v1/models",
        "/openapi.json%2f",
        "/docs",
        "/redoc",
        "/metrics",
        "/api/v1",
        "/api/v1/jobs/%2e%2e/key",
        "/static/../../config.py",
    ):
        for auth, good in ((f"Authorization: Bearer {key}\r\n", (b"404",)), ("", (b"401", b"404"))):
            said = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{auth}\r\n".encode()
            answer = await say(api, said)  # a client would have tidied the path
            assert answer.split()[1] in good and len(answer) < 800, (path, answer)


async def test_headers_change_nothing(api: Api) -> None:
    client, stranger = await api.client(ADA), await api.with_key(None)
    tricks = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Original-URL": "/openapi.json",
        "X-Rewrite-URL": "/openapi.json",
        "X-HTTP-Method-Override": "DELETE",
        "Host": "discord.com",
        "Origin": "https://evil.example",
        "Cookie": "session=1",
    }
    for name, value in tricks.items():
        assert (await stranger.get(MODELS, headers={name: value})).status_code == 401, name
        answer = await client.get("/api/v1/key", headers={name: value})
        assert answer.status_code == 200, name
        assert not [each for each in answer.headers if each.startswith("access-control")], name
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert (await client.options(MODELS, headers=preflight)).status_code == 405
    assert (await client.put(MODELS)).json()["error"]["message"] == "This address does not take that method."


async def test_heads_that_are_no_http_are_refused(api: Api) -> None:
    key = await api.services.api_keys.create(ADA, "raw")
    auth = f"Authorization: Bearer {key}\r\n".encode()
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\n" + auth
    for said in (
        b"\x16\x03\x01\x00\xa5" * 20 + b"\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n" + auth + b"\r\n",
        head + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Bad\x00Name: 1\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    ):
        answer = await say(api, said)
        assert answer == b"" or answer.split()[1] in (b"400", b"404", b"431"), (said[:60], answer[:200])
        assert answer.count(b"HTTP/1.1 ") <= 1, "a request was smuggled in"


async def test_odd_requests_get_an_ordinary_answer(api: Api) -> None:
    client = await api.client(ADA)
    key = client.headers["Authorization"].encode()
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "PROPFIND"):
        assert (await client.request(method, MODELS)).status_code == 405, method
    end = b"Host: a\r\nConnection: close\r\nAuthorization: " + key + b"\r\n\r\n"
    for said, status in (
        (b"GET /v1/models HTTP/1.0\r\nAuthorization: " + key + b"\r\n\r\n", b"200"),
        (b"GET http://evil.example/v1/models HTTP/1.1\r\n" + end, b"404"),
        (b"CONNECT evil.example:443 HTTP/1.1\r\n" + end, b"404"),
        (b"GET /v1/models?a=%0d%0aSet-Cookie:x HTTP/1.1\r\n" + end, b"200"),
        (b"GET /v1/models HTTP/1.1\r\nAuthorization: " + key + b"\r\n" + end, b"400"),
        (b"GET /v1/models HTTP/1.1\r\nHost: b\r\n" + end, b"400"),
        (b"GET /v1/\xff\xfe HTTP/1.1\r\n" + end, b"400"),
        (b"POST /api/v1/jobs HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" + end + b"0\r\n\r\n", b"400"),
        (b"POST /api/v1/jobs HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9000000000\r\n" + end, b"413"),
    ):
        answer = await say(api, said)
        assert answer.split()[1] == status and b"set-cookie" not in answer.lower(), (said, answer)


async def test_a_body_is_bounded_and_is_not_read_without_a_key(api: Api) -> None:
    client, stranger = await api.client(ADA), await api.with_key(None)
    head = {"Content-Type": "application/json"}
    answer = await client.post("/v1/images/generations", content=BIG, headers=head)
    assert (answer.status_code, answer.json()["error"]["message"]) == (413, "The body is over 1 MiB. Send less.")
    answer = await stranger.post("/v1/images/generations", content=b"{}", headers=head)
    assert answer.status_code == 401
    said = b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10000000\r\n\r\n"
    assert b" 401 " in await say(api, said), "it was answered before a byte of the body came"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 2**18

    assert (await client.post("/api/v1/key", content=endless())).status_code == 413
    assert (await client.get("/api/v1/key")).status_code == 200


async def test_a_slow_body_and_too_many_at_once_are_ended(tmp_path: Path, blank_database: Path) -> None:
    limits = ApiLimits(body_s=0.2, open_at_once=2)
    async with opened_api(tmp_path, blank_database, limits=limits) as api:
        client = await api.client(ADA)
        key = client.headers["Authorization"].encode()
        head = (
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: "
            + key
            + b"\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{"
        )
        assert b" 408 " in await say(api, head)
        api.services.generation.pause(True)
        body = {"prompt": "a red circle", "size": "64x64"}
        waiting = [asyncio.create_task(client.post("/v1/images/generations", json=body)) for _ in range(2)]
        await until(lambda: len(api.services.generation.list_live_ids()) == 2)
        assert (await client.get(MODELS)).status_code == 429
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await api.place.until(lambda: not api.services.generation.list_live_ids())  # who hung up is not painted for
        while (answer := await client.get(MODELS)).status_code == 429:
            pass
        assert answer.status_code == 200


async def hold(api: Api, stack: AsyncExitStack, number: int) -> list[asyncio.StreamReader]:
    """Open connections that send the head of a request and never end it."""
    port, readers = int(api.url.rsplit(":", 1)[1]), []
    for _ in range(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        readers.append(reader)
    return readers


@pytest.mark.parametrize(("most", "number"), [(8, 20), pytest.param(512, 1000, marks=pytest.mark.long)])
async def test_slow_connections_make_way(api: Api, monkeypatch: pytest.MonkeyPatch, most: int, number: int) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", most)
    async with AsyncExitStack() as stack:
        readers = await hold(api, stack, number)
        for _ in range(3):
            client = await api.client(ADA, f"at {_}")
            assert (await client.get(MODELS)).status_code == 200, "a member gets through"
        ended = [each for each in readers if each.at_eof() or each.exception() is not None]
        assert len(ended) >= number - most, "the oldest made way"


async def test_a_head_that_does_not_end_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.05)
    assert await say(api, b"GET /v1/models HTTP/1.1\r\nHost: a\r\n") == b""
    key = await api.services.api_keys.create(ADA, "raw")
    whole = f"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    answer = await say(api, whole, b"GET /v1/models HTTP/1.1\r\nX-Slow: ")
    assert answer.startswith(b"HTTP/1.1 200"), "the second head is waited for no longer than the first"


async def test_the_description_is_served_to_all_and_tells_no_secret(api: Api) -> None:
    answer = await (await api.with_key(None)).get("/openapi.json")
    assert answer.status_code == 200
    paths = answer.json()["paths"]
    assert {"/v1/images/generations", "/v1/images/edits", "/v1/models", "/api/v1/jobs"} <= set(paths)
