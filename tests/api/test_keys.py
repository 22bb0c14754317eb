"""A key opens what is its member's, for as long as it lasts, and nothing else does."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text

from api.errors import KeyHeaderError, NoKeyError, WrongKeyError
from cli.api import LOCAL
from db.stores.api_keys import MAX_KEYS
from db.stores.audit_log import Entry
from generation.clock import utc_now
from generation.policy.errors import KeyNameError, TooManyKeysError, UnknownKeyError
from tests.api.harness import ADA, BO, Api
from tests.api.test_jobs import SMALL, events
from tests.patience import until

MODELS = "/v1/models"


async def test_a_key_opens_as_bearer_and_as_basic_password(api: Api) -> None:
    key = await api.services.api_keys.create(LOCAL, "mine")
    client = await api.with_key(None)
    basic = base64.b64encode(f"anyone:{key}".encode()).decode()
    for said in (f"Bearer {key}", f"bearer  {key}", f"Basic {basic}"):
        assert (await client.get(MODELS, headers={"Authorization": said})).status_code == 200, said


CLOSED: list[tuple[list[str], int, type[Exception]]] = [
    ([], 401, NoKeyError),
    (["Bearer"], 401, NoKeyError),
    (["Digest x"], 401, NoKeyError),
    (["Bearer atl_" + "A" * 43], 401, WrongKeyError),
    (["Bearer sk-something"], 401, WrongKeyError),
    (["Basic not-base64!"], 401, WrongKeyError),
    (["Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()], 401, WrongKeyError),
    (["Bearer " + "A" * 600], 400, KeyHeaderError),
    (["Bearer a", "Bearer b"], 400, KeyHeaderError),
]


async def test_nothing_else_opens(api: Api) -> None:
    client = await api.with_key(None)
    for said, status, error in CLOSED:
        answer = await client.get(MODELS, headers=[("Authorization", each) for each in said])
        assert (answer.status_code, answer.json()["error"]["message"]) == (status, error.__doc__), said


async def test_a_revoked_key_stops_at_once(api: Api) -> None:
    client = await api.client(ADA, "mine")
    assert (await client.get(MODELS)).status_code == 200
    await api.services.api_keys.revoke(ADA, "mine")
    assert (await client.get(MODELS)).status_code == 401
    with pytest.raises(UnknownKeyError):
        await api.services.api_keys.revoke(ADA, "mine")


async def test_a_key_ends_with_a_block_and_stays_ended(api: Api) -> None:
    client, other = await api.client(ADA), await api.client(BO)
    await api.services.moderation.block(ADA.guild_id, ADA.user_id, Entry(1, "for a test"), lasting=None)
    assert (await client.get(MODELS)).status_code == 401
    assert (await other.get(MODELS)).status_code == 200
    await api.services.moderation.unblock(ADA.guild_id, ADA.user_id, Entry(1, "for a test"))
    assert (await client.get(MODELS)).status_code == 401


async def test_a_key_ends_when_the_server_removes_the_bot(api: Api) -> None:
    client = await api.client(ADA)
    await api.services.removed_guilds.mark_removed(ADA.guild_id)
    await api.services.removed_guilds.mark_returned([ADA.guild_id])
    assert (await client.get(MODELS)).status_code == 401


async def test_a_key_ends_when_its_member_has_left(api: Api) -> None:
    client = await api.client(ADA)
    api.people.roles[ADA] = None
    assert (await client.get(MODELS)).status_code == 401
    assert await api.services.api_keys.fetch_live(ADA) == []


async def test_a_key_is_erased_with_its_member(api: Api) -> None:
    client = await api.client(ADA)
    async for _ in api.services.personal.erase(ADA.user_id):
        pass
    assert (await client.get(MODELS)).status_code == 401
    rows = await api.place.database.read(lambda session: session.execute(text("SELECT * FROM api_keys")).all())
    assert rows == []


async def test_only_the_hash_is_stored_and_none_of_it_is_exported(api: Api) -> None:
    key = await api.services.api_keys.create(ADA, "mine")
    rows = await api.place.database.read(lambda session: session.execute(text("SELECT * FROM api_keys")).all())
    assert sha256(key.encode()).hexdigest() in rows[0] and key not in str(rows)
    parts = await api.services.personal.export(ADA.user_id, part_bytes=2**20)
    with parts[0].file as file:
        file.seek(0)
        written = file.read()
    assert b"mine" in written and sha256(key.encode()).hexdigest().encode() not in written


async def test_names_and_numbers_are_bounded(api: Api) -> None:
    keys = api.services.api_keys
    for name in ("", " ", "x" * 41, "a\x00b"):
        with pytest.raises(KeyNameError):
            await keys.create(ADA, name)
    for number in range(MAX_KEYS):
        await keys.create(ADA, f"key {number}")
    with pytest.raises(TooManyKeysError):
        await keys.create(ADA, "one more")
    await keys.revoke(ADA, " key  0 ")
    with pytest.raises(KeyNameError):
        await keys.create(ADA, "key 1")
    await keys.create(ADA, "key 0")


async def test_the_last_use_is_noted_and_ended_keys_are_forgotten(api: Api) -> None:
    client = await api.client(ADA, "mine")
    assert (await api.services.api_keys.fetch_live(ADA))[0].used_at is None
    await client.get(MODELS)
    used_at = (await api.services.api_keys.fetch_live(ADA))[0].used_at
    assert used_at is not None and utc_now() - used_at < timedelta(hours=1)


async def revoke(api: Api) -> None:
    await api.services.api_keys.revoke(ADA, "test")


async def block(api: Api) -> None:
    await api.services.moderation.block(ADA.guild_id, ADA.user_id, Entry(1, "for a test"), lasting=None)


async def erase(api: Api) -> None:
    async for _ in api.services.personal.erase(ADA.user_id):
        pass


async def remove_the_bot(api: Api) -> None:
    await api.services.removed_guilds.mark_removed(ADA.guild_id)


@pytest.mark.parametrize("end", [revoke, block, erase, remove_the_bot])
async def test_what_is_followed_ends_with_the_key(api: Api, end: Callable[[Api], Awaitable[None]]) -> None:
    """And one who waits for pictures gets none: the key opens nothing from that moment on."""
    client, generation = await api.client(ADA), api.services.generation
    generation.pause(True)
    job = (await client.post("/api/v1/jobs", json=SMALL)).json()
    waiting = asyncio.create_task(client.post("/v1/images/generations", json=SMALL))
    await until(lambda: len(generation.list_live_ids()) == 2)
    async with aclosing(events(client, job["id"])) as followed:
        assert (await anext(followed))[0] == "state"
        await end(api)
        generation.pause(False)
        names = [each async for each in followed]
        assert [name for name, _ in names if name != "state"] == ["error"], names
        assert json.loads(names[-1][1])["error"] in ("wrong_key", "unknown_job")  # erased jobs were never there
    assert (await waiting).status_code in (401, 404)
