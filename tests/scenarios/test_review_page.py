"""The review queue on the web page: the rights and the decisions of `/review` on Discord."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image
from pydantic import SecretStr

from api.web.review import DecidedError
from api.web.sessions import FormError, NotSignedInError
from cli.api import open_api
from cogs.moderation import ReviewDesk
from cogs.moderation._decisions import DECISIONS
from cogs.moderation._messages import NOTHING_TO_REVIEW, WARNED
from discord_sandbox import Sandbox, ScriptedUser
from generation.admission.errors import BlockedUntilError
from generation.errors import UnknownJobError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, until_done, until_shown

RED = "a red <circle>"
OTHERS = sorted(DECISIONS.keys() - {"warn"})
URL = "http://127.0.0.1:9"


@asynccontextmanager
async def opened(bot: LivingBot, discord: Sandbox, operator: ScriptedUser) -> AsyncIterator[Desk]:
    more = {"web_client_id": str(discord.application.id), "web_client_secret": SecretStr(discord.oauth2.secret)}
    more |= {"api_port": 0, "web_url": URL, "discord_url": discord.url, "owner_ids": str(operator.user.id)}
    discord.oauth2.redirect_uris.add(f"{URL}/sign-in/done")
    roles = bot.services.member_roles
    async with (
        open_api(
            bot.settings.model_copy(update=more), bot.services, roles, roles.name_servers, ReviewDesk(bot.services)
        ) as port,
        AsyncExitStack() as stack,
    ):
        yield Desk(f"http://127.0.0.1:{port}", stack)


class Desk:
    """Browsers of people who have signed in."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url, self._stack = url, stack

    async def browser(self, who: ScriptedUser) -> httpx2.AsyncClient:
        client = httpx2.AsyncClient(base_url=self._url, timeout=PATIENCE_S, trust_env=False)
        await self._stack.enter_async_context(client)
        ask = (await client.get("/sign-in", params={"to": "/review"})).headers["Location"]
        agreed = await client.post(ask, data={"user": str(who.user.id)})
        parts = urlsplit(agreed.headers["Location"])
        done = await client.get(f"{parts.path}?{parts.query}")
        assert done.headers["Location"] == "/review"
        return client


async def press(client: httpx2.AsyncClient, job_id: str, decision: str) -> httpx2.Response:
    page = (await client.get("/review")).text
    key = page.partition('name="form_key" value="')[2].partition('"')[0]
    return await client.post(f"/review/{job_id}", data={"decision": decision, "form_key": key})


async def withheld(bot: LivingBot, who: ScriptedUser) -> str:
    """Return the id of a job whose picture the checker withheld."""
    return (await bot.ended(await who.slash("imagine", prompt=f"{RED} withhold-image", steps=2))).id


async def keep_for_review(bot: LivingBot, people: People, *, log_channel_id: int | None = None) -> None:
    choices = GuildPreferences(review_hours=24, log_channel_id=log_channel_id)
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=choices))


async def test_what_waits_is_shown_oldest_first_to_those_who_moderate(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await keep_for_review(bot, people)
    first = await withheld(bot, people.ada)
    message = await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2))
    await until_shown(discord, await people.ada.context_menu("Report picture", message))
    second = job_id_in(message)
    async with opened(bot, discord, people.bo) as desk:
        mo, operator, ada = [await desk.browser(each) for each in (people.mo, people.bo, people.ada)]
        page = (await mo.get("/review")).text
        assert re.findall(r'action="/review/(\w+)"', page) == [first, second]
        assert "Reported by a member." in page and "a red &lt;circle&gt; withhold-image" in page
        assert "1 of 1 pictures flagged" in page
        blurred = await mo.get(f"/review/{first}/0.jpg")
        assert Image.open(io.BytesIO(blurred.content)).format == "JPEG"
        assert (await mo.get(f"/review/{second}/0.webp")).status_code == 200
        assert (await mo.get(f"/review/{first}/0.webp")).status_code == 410, "it is shown blurred only"
        seen = (await operator.get("/review")).text
        assert "Harbour</span>: 2" in seen and "circle" not in seen and "Nothing waits for you" in seen
        seen = (await ada.get("/review")).text
        assert "Nothing waits for you" in seen and "Harbour" not in seen
        for each in (operator, ada):
            for path in (f"/review/{first}/0.jpg", f"/review/{second}/0.webp"):
                answer = await each.get(path)
                assert answer.status_code == 404 and str(UnknownJobError()) in answer.text
            assert str(UnknownJobError()) in (await press_forged(each, second, mo)).text
        async with httpx2.AsyncClient(base_url=desk._url, trust_env=False) as stranger:
            assert str(NotSignedInError()) in (await stranger.get("/review")).text
            assert (await stranger.get(f"/review/{first}/0.jpg")).status_code == 401
    assert not message.is_deleted


async def press_forged(client: httpx2.AsyncClient, job_id: str, other: httpx2.AsyncClient) -> httpx2.Response:
    """Send the form of another's page: with their key it is too old; with one's own, one may not."""
    key = (await other.get("/review")).text.partition('name="form_key" value="')[2].partition('"')[0]
    refused = await client.post(f"/review/{job_id}", data={"decision": "delete", "form_key": key})
    assert str(FormError()) in refused.text
    mine = (await client.get("/review")).text.partition('name="form_key" value="')[2].partition('"')[0]
    return await client.post(f"/review/{job_id}", data={"decision": "delete", "form_key": mine})


@pytest.mark.parametrize("name", ["warn", *(pytest.param(each, marks=pytest.mark.long) for each in OTHERS)])
async def test_each_decision_does_what_its_button_does(
    discord: Sandbox, people: People, bot: LivingBot, name: str
) -> None:
    log = people.guild.add_channel("log")
    await keep_for_review(bot, people, log_channel_id=log.id)
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    await until_shown(discord, await people.bo.context_menu("Report picture", message))
    async with opened(bot, discord, people.bo) as desk:
        mo = await desk.browser(people.mo)
        assert (await press(mo, job_id_in(message), name)).status_code == 303
        assert str(DecidedError()) in (await press(mo, job_id_in(message), name)).text
        assert "Nothing waits for you" in (await mo.get("/review")).text
    decision = DECISIONS[name]
    assert message.is_deleted is decision.deletes
    assert bool(list((bot.data_dir / "pictures").rglob("*.png"))) is not decision.deletes
    [change, *_] = await bot.services.audit_log.fetch_changes(people.guild.id)
    assert (change.user_id, str(change.text)) == (people.mo.user.id, str(decision.said))
    [told] = log.messages
    assert told.text == f"<@{people.mo.user.id}> {decision.said}"
    warned = [each for each in people.general.messages if is_said(WARNED, each.text, whom=f"<@{people.ada.user.id}>")]
    assert bool(warned) is decision.warns
    again = await people.ada.slash("imagine", prompt=RED, steps=2)
    answer = await (until_shown if decision.blocked_for else until_done)(discord, again)
    assert is_said(BlockedUntilError, answer.text) is (decision.blocked_for is not None)
    queue = await until_shown(discord, await people.mo.slash("review"))
    assert is_said(NOTHING_TO_REVIEW, queue.text)
