"""The web pages: sign-in with Discord, and who sees what."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from api.web.access import Access
from api.web.gallery import Card, Look
from api.web.operator import NotTheOperatorError
from api.web.pages import write
from api.web.sessions import FormError, NotSignedInError
from api.web.sign_in import SignInError, SignInStateError
from generation.errors import UnknownJobError
from generation.jobs.job import Job
from generation.owner import Owner
from generation.policy.guild_settings import say_weight
from generation.requests.control import Control
from generation.requests.edits import StartImage
from generation.requests.image_prompt import ImagePrompt
from generation.requests.prompt_addons import Adapter
from generation.requests.references import Reference
from generation.requests.spec import ImageSpec
from tests.api.web_harness import SERVER, Pages, opened_pages


@pytest.fixture
async def pages(tmp_path: Path, blank_database: Path) -> AsyncIterator[Pages]:
    async with opened_pages(tmp_path, blank_database) as opened:
        yield opened


async def test_a_member_signs_in_looks_and_signs_out(pages: Pages) -> None:
    job = await pages.painted(pages.ada, count=2)
    client = await pages.signed_in(pages.ada)
    page = await client.get("/gallery")
    assert page.status_code == 200 and "Painters" in page.text and "a red &lt;circle&gt;" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    picture = await client.get(f"/gallery/{job.id}/1")
    assert "Seed</dt><dd>8" in picture.text and f'src="/pictures/{job.id}/0.webp"' in picture.text
    small = await client.get(f"/pictures/{job.id}/1.webp")
    assert Image.open(io.BytesIO(small.content)).size == (64, 64)
    whole = await client.get(f"/pictures/{job.id}/1.png")
    assert Image.open(io.BytesIO(whole.content)).info["parameters"].startswith("a red <circle>")
    recipe = await client.get(f"/gallery/{job.id}/1/recipe.json")
    assert json.loads(recipe.text)["spec"]["seed"] == 8
    key = page.text.partition('name="form_key" value="')[2].partition('"')[0]
    left = await client.post("/sign-out", data={"form_key": key})
    assert left.headers["Location"] == "/"
    assert (await client.get("/gallery")).status_code == 401


async def test_a_picture_is_made_again_from_its_page(pages: Pages) -> None:
    job = await pages.painted(pages.ada)
    client = await pages.signed_in(pages.ada)
    page = (await client.get(f"/gallery/{job.id}/0")).text
    key = page.partition('name="form_key" value="')[2].partition('"')[0]
    refused = await client.post(f"/gallery/{job.id}/0/reproduce", data={"form_key": "x"})
    assert FormError.__doc__ in refused.text
    sent = await client.post(f"/gallery/{job.id}/0/reproduce", data={"form_key": key})
    again = await pages.api.services.generation.finished(sent.headers["Location"].split("/")[2])
    assert again.images[0].file_sha256 == job.images[0].file_sha256
    assert again.owner == job.owner


async def test_many_come_as_a_zip_and_older_ones_on_a_page(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.gallery.JOBS_A_PAGE", 1)
    first, second = await pages.painted(pages.ada), await pages.painted(pages.ada, count=2)
    client = await pages.signed_in(pages.ada)
    answer = await client.get("/gallery/download", params={"server": SERVER})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert [name.rpartition(first.id)[1] == first.id for name in names] == [False, False, True]
    page = await client.get("/gallery")
    assert second.id in page.text and first.id not in page.text
    more = page.text.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    rest = await client.get(more, headers={"HX-Request": "true"})
    assert first.id in rest.text and "<html" not in rest.text


async def test_no_one_sees_what_is_anothers(pages: Pages) -> None:
    job = await pages.painted(pages.ada)
    client = await pages.signed_in(pages.bo)
    paths = [f"/gallery/{job.id}/0", f"/pictures/{job.id}/0.png", f"/pictures/{job.id}/0.webp"]
    for path in [*paths, f"/gallery/{job.id}/0/recipe.json", f"/gallery/{'x' * 22}/0", "/gallery/../../etc/0"]:
        answer = await client.get(path)
        assert answer.status_code == 404, path
    assert UnknownJobError.__doc__ in (await client.get(paths[0])).text
    assert "no pictures yet" in (await client.get("/gallery")).text
    shares = pages.api.services.shares
    share = await shares.reserve(job.id, guild_id=SERVER, channel_id=1, at=job.created_at)
    await shares.set_post(share, channel_id=1, message_id=2, is_thread=False)
    assert (await client.get(paths[1])).status_code == 200
    shown = await client.get("/gallery", params={"server": SERVER, "kind": "showcase"})
    assert job.id in shown.text
    for words, is_found in (("CIRCLE", True), ("harbour", False)):
        shown = await client.get("/gallery", params={"server": SERVER, "kind": "showcase", "words": words})
        assert (job.id in shown.text) is is_found
    pages.api.people.roles[Owner(SERVER, pages.bo.id)] = None  # Bo leaves
    pages.api.app.state.web.access._roles.cache_clear()  # the minute for which roles are remembered is over
    assert (await client.get(paths[1])).status_code == 404


async def test_nothing_is_shown_to_who_is_not_signed_in(pages: Pages) -> None:
    job = await pages.painted(pages.ada)
    client = await pages.browser()
    for path in ("/gallery", f"/gallery/{job.id}/0", f"/pictures/{job.id}/0.png", "/gallery/download?server=1001"):
        answer = await client.get(path)
        assert answer.status_code == 401 and NotSignedInError.__doc__ in answer.text, path
        assert f'/sign-in?to={path.partition("?")[0] if "." not in path else "/gallery"}"' in answer.text
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/static/../routes.py")).status_code == 404


async def test_a_sign_in_of_another_browser_is_refused(pages: Pages) -> None:
    mine, other = await pages.browser(), await pages.browser()
    ask = (await mine.get("/sign-in")).headers["Location"]
    agreed = await mine.post(ask, data={"user": str(pages.ada.id)})
    assert SignInStateError.__doc__ in (await other.get(agreed.headers["Location"])).text
    assert "sign-in/done" in agreed.headers["Location"]
    assert (await mine.get(agreed.headers["Location"])).status_code == 303
    again = await mine.get(agreed.headers["Location"])  # a code is good once
    assert SignInError.__doc__ in again.text
    cancelled = await mine.post((await mine.get("/sign-in")).headers["Location"], data={"user": ""})
    assert parse_qs(urlsplit(cancelled.headers["Location"]).query)["error"] == ["access_denied"]
    assert SignInError.__doc__ in (await mine.get(cancelled.headers["Location"])).text


async def test_a_sign_in_leads_back_to_the_page_and_to_no_other_site(pages: Pages) -> None:
    client = await pages.browser()
    for to in ("/operator", f"/gallery/{'x' * 22}/0"):
        ask = (await client.get("/sign-in", params={"to": to})).headers["Location"]
        agreed = await client.post(ask, data={"user": str(pages.ada.id)})
        assert (await client.get(agreed.headers["Location"])).headers["Location"] == to
    for to in ("//example.org", "https://example.org", "/\\example.org", "gallery", "/a\r\nb", "/" + "a" * 200):
        assert (await client.get("/sign-in", params={"to": to})).status_code == 400, to


async def test_the_operator_sees_servers_and_workers_and_pauses(pages: Pages) -> None:
    await pages.painted(pages.bo, count=3)
    client, other = await pages.signed_in(pages.ada), await pages.signed_in(pages.bo)
    for answer in (await other.get("/operator"), await other.post("/operator/pause", data={"is_paused": "true"})):
        assert answer.status_code == 403 and str(NotTheOperatorError()) in answer.text
    page = (await client.get("/operator")).text
    assert "Painters</th><td>0</td><td>0</td><td>3</td>" in page and "paintbox" in page
    key = page.partition('name="form_key" value="')[2].partition('"')[0]
    assert FormError.__doc__ in (await client.post("/operator/pause", data={"is_paused": "true"})).text
    await client.post("/operator/pause", data={"is_paused": "true", "form_key": key})
    assert pages.api.services.generation.is_paused and await pages.api.services.operator.is_paused()
    assert "Paused</strong> no new picture is started" in (await client.get("/operator")).text
    await client.post("/operator/pause", data={"is_paused": "false", "form_key": key})
    assert not pages.api.services.generation.is_paused
    weight = {"server": str(SERVER), "weight": "2.5", "form_key": key}
    assert (await other.post("/operator/weight", data=weight)).status_code == 403
    assert (await client.post("/operator/weight", data=weight | {"weight": "0"})).status_code == 400
    assert (await client.post("/operator/weight", data=weight)).status_code == 303
    assert (await pages.api.services.guilds.fetch(SERVER)).weight == 2.5
    assert "<td>2.5</td>" in (await client.get("/operator")).text
    written = await pages.api.services.audit_log.fetch_changes(SERVER)
    assert [(each.user_id, str(each.text)) for each in written] == [(pages.ada.id, str(say_weight(2.5)))]


def test_a_query_leaves_out_what_is_empty() -> None:
    look = Look(server=1, words="a b")
    assert look.build_query() == "server=1&kind=mine&words=a+b"
    assert replace(look, words="").build_query(before="x") == "server=1&kind=mine&before=x"


async def test_members_see_what_they_used_by_day(pages: Pages) -> None:
    client = await pages.signed_in(pages.bo)
    assert "You have no pictures yet" in (await client.get("/usage")).text
    await pages.painted(pages.bo, count=3)
    await pages.painted(pages.ada, count=4)
    page = (await client.get("/usage")).text
    assert "3 in 30 days, 3 today" in page and page.count("<rect") == 60
    assert page.count("<td>3</td>") == 1
    refused = await client.get("/usage", params={"server": 2002})
    assert refused.status_code == 200 and "0 in 30 days" in refused.text
    pages.api.people.roles[Owner(SERVER, pages.bo.id)] = None
    pages.api.app.state.web.access._roles.cache_clear()
    assert (await client.get("/usage", params={"server": SERVER})).status_code == 403


async def test_the_state_renews_itself_without_the_charts(pages: Pages) -> None:
    await pages.painted(pages.bo, count=3)
    client = await pages.signed_in(pages.ada)
    assert "Members a day" in (await client.get("/operator")).text
    renewed = (await client.get("/operator", headers={"HX-Request": "true"})).text
    assert "Members a day" not in renewed and "standard steps a minute" in renewed


async def test_a_page_of_hidden_pictures_still_leads_to_older_ones(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.web.gallery.JOBS_A_PAGE", 1)
    old, new = await pages.painted(pages.ada), await pages.painted(pages.ada)
    real = Access.list_shown

    async def hide_the_newest(access: Access, job: Job) -> set[int]:
        return set() if job.id == new.id else await real(access, job)

    monkeypatch.setattr(Access, "list_shown", hide_the_newest)
    client = await pages.signed_in(pages.ada)
    page = (await client.get("/gallery")).text
    more = page.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert new.id not in page and old.id in (await client.get(more)).text


async def test_a_page_says_what_else_a_picture_was_made_with(pages: Pages) -> None:
    job = await pages.painted(pages.ada)
    file, more = "e" * 64, "f" * 64
    looked = ImagePrompt(adapter="looks", adapter_sha256=file, sha256=more, strength=0.5)
    control = Control(network="edges", network_sha256=file, sha256=more, strength=0.8)
    made = replace(
        job.images[0].spec,
        adapters=(Adapter(name="ink", sha256=file, weight=0.7),),
        control=(control,),
        image_prompt=looked,
        start=StartImage(sha256=more, strength=0.6),
    )
    edited = replace(job.images[0].spec, reference=(Reference(sha256=more, width_px=64, height_px=64),) * 2)
    plain, rich, edit = (show_facts(job, spec) for spec in (job.images[0].spec, made, edited))
    wanted = {
        "LoRA</dt><dd>ink, weight 0.7<",
        "ControlNet</dt><dd>edges, strength 0.8<",
        "Reference</dt><dd>seen by looks, strength 0.5<",
        "Start image</dt><dd>changed with strength 0.6<",
    }
    assert {each for each in wanted if each in rich} == wanted
    assert "Pictures edited</dt><dd>2<" in edit and "Pictures edited" not in rich
    assert not any(each.partition("<")[0] in plain for each in wanted)


def show_facts(job: Job, spec: ImageSpec) -> str:
    image = replace(job.images[0], spec=spec)
    values = {"is_shown": False, "is_own": True, "progress": None, "parameters": "", "others": []}
    return write("picture.html", None, nav=(), here="", card=Card(job, image), **values)
