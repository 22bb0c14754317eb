"""References over HTTP: sent or named, beside a start picture, refused in a sentence, made again."""

from __future__ import annotations

import base64
from pathlib import Path

from generation.images.metadata import read_recipe
from tests.api.harness import ADA, BO, opened_api
from tests.api.test_jobs import SMALL, a_picture, ended, submit
from tests.generation.engine.toy_ip_adapter import add_to_built_in


async def test_a_reference_is_sent_or_named_kept_and_refused_in_a_sentence(
    tmp_path: Path, blank_database: Path
) -> None:
    async with opened_api(tmp_path, blank_database, models_dir=add_to_built_in(tmp_path, "looks")) as api:
        client, other = await api.client(ADA), await api.client(BO)
        given = base64.b64encode(a_picture(300, 40)).decode()
        job = await submit(client, reference={"picture": given, "strength": 1.0})
        state = await ended(client, job["id"])
        png = (await client.get(state["images"][0]["path"])).content
        seen = read_recipe(png).spec.image_prompt
        assert seen and (seen.adapter, seen.strength) == ("looks", 1.0)
        stored = await api.services.jobs.fetch_job(job["id"])
        assert stored.is_from_upload and stored.request.parent is None
        again = (await client.post(f"/api/v1/jobs/{job['id']}/images/0/reproduce")).json()
        state = await ended(client, again["id"])
        assert (await client.get(state["images"][0]["path"])).content == png
        start = {"picture": given, "strength": 0.5}
        both = await submit(client, start=start, reference={"job": job["id"], "adapter": "looks"})
        await ended(client, both["id"])
        spec = (await api.services.jobs.fetch_job(both["id"])).request.spec
        assert spec.start is not None and spec.image_prompt and spec.image_prompt.strength == 0.6
        refused = {
            "reference_picture": {"picture": given, "job": job["id"]},
            "unknown_ip_adapter": {"picture": given, "adapter": "gone"},
            "picture_base64": {"picture": "no picture"},
        }
        for code, reference in refused.items():
            answer = await client.post("/api/v1/jobs", json=SMALL | {"reference": reference})
            assert (answer.status_code, answer.json()["error"]) == (400, code), answer.text
        answer = await other.post("/api/v1/jobs", json=SMALL | {"reference": {"job": job["id"]}})
        assert answer.status_code == 404, "no one looks at another's"
