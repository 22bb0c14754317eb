"""Jobs over HTTP: submitted, followed, cancelled, made again; and no one sees another's."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
from PIL import Image

from generation.images.codec import decode_png
from generation.images.metadata import read_recipe
from tests.api.harness import ADA, BO, Api

SMALL = {"prompt": "a red circle", "size": "64x64", "steps": 5, "seed": 7}


def a_picture(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


async def events(client: httpx2.AsyncClient, job_id: str) -> AsyncGenerator[tuple[str, str], None]:
    """Yield the events of a job until the server ends them."""
    async with client.stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, line.removeprefix("data: ")


async def submit(client: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/jobs", json=SMALL | changes)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def ended(client: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    found = [each async for each in events(client, job_id)]
    assert found[-1][0] == "end"
    return json.loads(found[-1][1])


async def test_a_job_is_followed_to_its_pictures_and_made_again(api: Api) -> None:
    client = await api.client(ADA)
    job = await submit(client, count=2)
    state = await ended(client, job["id"])
    assert (state["status"], [each["seed"] for each in state["images"]]) == ("done", [7, 8])
    png = (await client.get(state["images"][1]["path"])).content
    assert (read_recipe(png).spec.seed, decode_png(png)[1]) == (8, (64, 64))
    recipes = (await client.get(f"/api/v1/jobs/{job['id']}/recipe")).json()["recipes"]
    assert [each["spec"]["seed"] for each in recipes] == [7, 8]
    again = (await client.post(f"/api/v1/jobs/{job['id']}/images/1/reproduce")).json()
    state = await ended(client, again["id"])
    assert (await client.get(state["images"][0]["path"])).content == png
    page = (await client.get("/api/v1/jobs", params={"limit": 1})).json()
    older = (await client.get("/api/v1/jobs", params={"before": page["before"]})).json()
    assert [each["id"] for each in page["jobs"] + older["jobs"]] == [again["id"], job["id"]]
    assert older["before"] is None


async def test_a_prompt_has_regions(api: Api) -> None:
    client = await api.client(ADA)
    prompt = "a harbour <region:left:a red boat>"
    job = await submit(client, prompt=prompt)
    recipes = (await client.get(f"/api/v1/jobs/{(await ended(client, job['id']))['id']}/recipe")).json()["recipes"]
    assert recipes[0]["spec"]["prompt"] == prompt
    again = (await client.post(f"/api/v1/jobs/{job['id']}/images/0/reproduce")).json()
    remade = (await client.get(f"/api/v1/jobs/{(await ended(client, again['id']))['id']}/recipe")).json()["recipes"]
    assert remade[0]["pixels_sha256"] == recipes[0]["pixels_sha256"]
    refused = await client.post("/api/v1/jobs", json=SMALL | {"prompt": "a harbour <region:here:a boat>"})
    assert refused.status_code == 400 and "no area “here”" in refused.text


async def test_no_one_sees_another_s_job(api: Api) -> None:
    ada, bo = await api.client(ADA), await api.client(BO)
    job = await submit(ada)
    await ended(ada, job["id"])
    for path in ("", "/events", "/images/0", "/recipe"):
        answer = await bo.get(f"/api/v1/jobs/{job['id']}{path}")
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_job"), path
    for path in ("/cancel", "/images/0/reproduce"):
        assert (await bo.post(f"/api/v1/jobs/{job['id']}{path}")).status_code == 404, path
    start = {"job": job["id"]}
    assert (await bo.post("/api/v1/jobs", json=SMALL | {"start": start})).status_code == 404
    assert (await bo.get("/api/v1/jobs")).json()["jobs"] == []
    for name in (job["id"][:-1], job["id"] + "x", "..", "%2e%2e", "'; DROP", "a" * 22):
        assert (await ada.get(f"/api/v1/jobs/{name}")).status_code == 404, name


async def test_a_job_is_cancelled_at_no_cost_while_it_waits(api: Api) -> None:
    client = await api.client(ADA)
    api.services.generation.pause(True)
    job = await submit(client)
    state = (await client.post(f"/api/v1/jobs/{job['id']}/cancel")).json()
    assert state["status"] == "cancelled"
    assert (await api.services.jobs.fetch_job(job["id"])).images[0].charged == 0
    assert (await client.get(f"/api/v1/jobs/{job['id']}/images/0")).status_code == 403


async def test_pictures_are_started_from(api: Api) -> None:
    client = await api.client(ADA)
    picture = base64.b64encode(a_picture(96, 64)).decode()
    job = await submit(client, start={"picture": f"data:image/png;base64,{picture}", "mask": picture, "strength": 0.5})
    state = await ended(client, job["id"])
    assert state["status"] == "done"
    stored = await api.services.jobs.fetch_job(job["id"])
    assert stored.is_from_upload and stored.images[0].spec.start.mask_sha256
    job = await submit(client, size=None, start={"job": job["id"], "index": 0})
    assert (await api.services.jobs.fetch_job(job["id"])).request.parent == f"{stored.id}-0"
    await ended(client, job["id"])


BAD: list[tuple[dict[str, Any], int, str | None]] = [
    ({"start": {}}, 400, "start"),
    ({"start": {"picture": "not base64!"}}, 400, "picture_base64"),
    ({"start": {"picture": base64.b64encode(b"GIF89a").decode()}}, 400, "not_a_picture"),
    ({"start": {"job": "../../etc/passwd"}}, 404, "unknown_job"),
    ({"prompt": ""}, 400, "empty_prompt"),
    ({"prompt": "x" * 5000}, 400, "unreadable_body"),
    ({"seed": -1}, 400, None),
    ({"seed": 2**64}, 400, None),
    ({"steps": 10_000}, 400, None),
    ({"count": 1000}, 400, None),
    ({"guidance": -1}, 400, None),
    ({"model": "../../etc/passwd"}, 404, "unknown_model"),
    ({"sampler": "none of ours"}, 400, "unknown_sampler"),
    ({"size": "16384x16384"}, 400, None),
    ({"aspect": "1:1"}, 400, "aspect_or_size"),
    ({"unheard": 1}, 400, "unreadable_body"),
]


async def test_bad_input_is_refused_and_costs_nothing(api: Api) -> None:
    client = await api.client()
    for body, status, code in BAD:
        answer = await client.post("/api/v1/jobs", json=SMALL | body)
        said = answer.json()
        assert (answer.status_code, code or said["error"]) == (status, said["error"]), (body, answer.text)
        assert len(said["message"]) < 400 and "Traceback" not in said["message"], answer.text
    for text in ("", "[", '{"prompt": "a", "guidance": NaN}', '{"prompt": "\\ud800"}'):
        answer = await client.post("/api/v1/jobs", content=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (text, answer.text)
    assert api.services.generation.list_live_ids() == []
    assert list((api.place.folder / "pictures").rglob("*.png")) == []


async def test_a_key_says_whose_it_is_and_ends_itself(api: Api) -> None:
    client = await api.client(ADA, "laptop")
    assert (await client.get("/api/v1/key")).json() == {"name": "laptop", "server": str(ADA.guild_id)}
    assert (await client.delete("/api/v1/key")).status_code == 204
    assert (await client.get("/api/v1/key")).status_code == 401
