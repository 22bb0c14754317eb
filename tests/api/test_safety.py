"""What a checker flags is not seen over HTTP, whatever the server chose for Discord; and it costs nothing."""

from __future__ import annotations

from dataclasses import replace

from db.stores.audit_log import Entry
from generation.jobs.job import ReplyTo
from generation.owner import Owner
from generation.policy.guild_settings import GuildSettings
from generation.safety.visibility import FlaggedHandling, SafetyLevel, SafetyScores
from tests.api.harness import ADA, Api
from tests.api.test_jobs import SMALL, ended, submit
from tests.db.some_jobs import a_job, done


async def choose_safety(api: Api, owner: Owner, level: SafetyLevel) -> None:
    changed = GuildSettings(guild_id=owner.guild_id, safety=level)
    await api.services.guild_policy.change_settings(owner.guild_id, lambda _old: changed, Entry(1, "for a test"))


async def test_what_is_withheld_is_told_and_costs_nothing(api: Api) -> None:
    client = await api.client(ADA)
    for level in SafetyLevel:
        await choose_safety(api, ADA, level)
        state = await ended(client, (await submit(client, prompt="withhold-image"))["id"])
        image = state["images"][0]
        assert (state["status"], image["path"]) == ("withheld", None)
        assert image["error"] == "Kept back by the safety checker. It costs nothing."
        assert (await client.get(f"/api/v1/jobs/{state['id']}/images/0")).status_code == 403
        job = await api.services.jobs.fetch_job(state["id"])
        assert (job.handling.level, job.images[0].charged) == (SafetyLevel.BLOCK, 0)
    body = {"prompt": "withhold-image", "size": "64x64", "steps": 5}
    answer = await client.post("/v1/images/generations", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_policy_violation")


async def test_a_flagged_picture_of_discord_is_not_shown(api: Api) -> None:
    """One that Discord shows behind its blur, and one of an age-restricted channel."""
    client, jobs = await api.client(ADA), api.services.jobs
    for level in (SafetyLevel.BLUR, SafetyLevel.OFF):
        await choose_safety(api, ADA, level)
        job = replace(a_job(guild=ADA.guild_id, user=ADA.user_id), handling=FlaggedHandling(level=level))
        await jobs.accept(job, ReplyTo(application_id=1, channel_id=2))
        flagged = SafetyScores(is_flagged=True, margins={"open_nsfw": 0.1, "nsfwjs": 0.1})
        file = api.services.generation.files.put(b"a picture")
        await jobs.settle(job.images[0].id, 0, replace(done(job, file=file), judgement=flagged))
        state = (await client.get(f"/api/v1/jobs/{job.id}")).json()
        assert (state["images"][0]["path"], state["images"][0]["status"]) == (None, "done")
        assert (await client.get(f"/api/v1/jobs/{job.id}/images/0")).status_code == 403
        answer = await client.post("/api/v1/jobs", json=SMALL | {"start": {"job": job.id}, "size": None})
        assert answer.status_code == 403
        assert (await client.get("/api/v1/jobs")).json()["jobs"][0]["images"][0]["path"] is None
