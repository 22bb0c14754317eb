"""`/api/v1`: jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.admission import Asked, submit
from api.dialect import Dialect, get_caller, get_context
from api.errors import ErrorReply
from api.jobs.views import JobState, build_state
from api.pictures import fetch_own_job

router = APIRouter(tags=["Jobs"])


class JobBody(BaseModel):
    """What is to be painted."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=4000)
    negative: str | None = Field(None, max_length=4000)
    model: str | None = Field(None, max_length=200)
    count: int | None = None
    size: str | None = Field(None, max_length=20)
    aspect: str | None = Field(None, max_length=20)
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = Field(None, max_length=60)
    lora: str | None = Field(None, max_length=500)
    clip_skip: int | None = None


@router.post("/jobs", status_code=202)
async def submit_job(request: Request, body: JobBody) -> JobState:
    """Have it accepted. The answer does not wait for the pictures."""
    context = get_context(request)
    accepted = await submit(context, get_caller(request), Asked(**body.model_dump()))
    return await build_state(context, accepted.job)


@router.get("/jobs/{job_id}")
async def show_job(request: Request, job_id: str) -> JobState:
    """Say how far a job is."""
    context = get_context(request)
    return await build_state(context, await fetch_own_job(context, get_caller(request), job_id))


def write_error(reply: ErrorReply) -> Mapping[str, Any]:
    return {"error": reply.code, "message": reply.message}


JOBS = Dialect(prefix="/api/v1", router=router, write_error=write_error)
