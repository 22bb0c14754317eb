"""Edits by instruction over HTTP: OpenAI's client with several pictures, and `references` of Atelier's own dialect."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import openai
import pytest

from generation.models.catalog import Catalog
from tests.api.harness import ADA, Api
from tests.api.test_jobs import SMALL, a_picture, ended, submit
from tests.api.test_openai import connect

NOW: dict[str, Any] = {"prompt": "make it snow", "model": "editor", "size": "64x64"}


@pytest.fixture(autouse=True)
def editor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that edits by instruction beside the usual one. The painting is light, so its weights do not matter."""
    usual = Catalog.open("paintbox").default
    made = replace(usual, name="editor", family="klein", defaults=replace(usual.defaults, sampler="Euler"))
    monkeypatch.setattr(Catalog, "open", lambda *_: Catalog((usual, made)))


async def test_openais_client_edits_several_pictures_by_instruction(api: Api) -> None:
    client = await connect(api, ADA)
    pictures = [(f"{index}.png", a_picture(96, 64 + 32 * index), "image/png") for index in range(2)]
    answer = await client.images.edit(image=pictures, **NOW)
    job = await api.services.jobs.fetch_job(answer.model_extra["job_id"])
    (image,) = job.images
    assert len(image.spec.references) == 2 and image.spec.start is None and job.is_from_upload
    assert image.spec.references[0].size_px != image.spec.references[1].size_px
    one = await client.images.edit(image=pictures[0], **NOW)
    (seen,) = (await api.services.jobs.fetch_job(one.model_extra["job_id"])).images[0].spec.references
    assert seen == image.spec.references[0]


async def test_a_mask_a_strength_or_another_model_paints_over_as_before(api: Api) -> None:
    client, picture = await connect(api, ADA), ("a.png", a_picture(64, 64), "image/png")
    wishes: tuple[dict[str, Any], ...] = ({"mask": picture}, {"extra_body": {"strength": 0.5}}, {"model": "paintbox"})
    for wish in wishes:
        answer = await client.images.edit(**{**NOW, "image": picture, **wish})
        spec = (await api.services.jobs.fetch_job(answer.model_extra["job_id"])).images[0].spec
        assert spec.start is not None and not spec.references
    with pytest.raises(openai.BadRequestError, match="Models that can: editor"):
        await client.images.edit(**{**NOW, "image": [picture, picture], "model": "paintbox"})
    with pytest.raises(openai.BadRequestError, match="Send one"):
        await client.images.edit(**{**NOW, "image": [picture, picture], "mask": picture})
    with pytest.raises(openai.BadRequestError, match="One to 4 pictures"):
        await client.images.edit(**{**NOW, "image": [picture] * 5})


async def test_references_are_pictures_that_come_or_ones_own(api: Api) -> None:
    client, picture = await api.client(ADA), base64.b64encode(a_picture(96, 64)).decode()
    job = await submit(client, model="editor", references=[{"picture": picture}])
    await ended(client, job["id"])
    stored = await api.services.jobs.fetch_job(job["id"])
    assert stored.is_from_upload and len(stored.request.spec.references) == 1
    more = await submit(client, model="editor", references=[{"job": job["id"], "index": 0}])
    again = (await api.services.jobs.fetch_job(more["id"])).request
    assert (again.parent, again.spec.references[0].sha256) == (f"{stored.id}-0", stored.images[0].file_sha256)
    await ended(client, more["id"])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"model": "paintbox", "references": [{"picture": "PICTURE"}]}, "cannot_edit"),
        ({"references": [{}]}, "references"),
        ({"references": []}, "unreadable_body"),
        ({"references": [{"picture": "PICTURE", "job": "x"}]}, "references"),
        ({"references": [{"picture": "PICTURE"}], "start": {"picture": "PICTURE"}}, "references"),
        ({"references": [{"picture": "PICTURE"}] * 5}, "unreadable_body"),
        ({"references": [{"picture": "not base64!"}]}, "picture_base64"),
    ],
)
async def test_what_cannot_be_edited_is_refused(api: Api, wrong: dict[str, Any], code: str) -> None:
    client, picture = await api.client(ADA), base64.b64encode(a_picture(64, 64)).decode()
    body = SMALL | {"model": "editor"} | wrong
    sent = json.dumps(body).replace("PICTURE", picture)
    answer = await client.post("/api/v1/jobs", content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, code)
