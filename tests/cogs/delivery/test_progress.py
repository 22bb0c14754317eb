"""When a message says that a model is being loaded."""

from __future__ import annotations

from dataclasses import replace

from cogs.delivery._progress import is_loading
from generation.jobs.job import Status
from generation.jobs.protocol import LoadedModelInfo
from generation.requests.edits import Upscale
from generation.scheduling.active_jobs import JobView
from tests.cogs.results.test_messages import SPEC, job_of


def in_memory(*names: str) -> list[LoadedModelInfo]:
    return [LoadedModelInfo(name=each, device="cpu", num_bytes=1) for each in names]


def test_a_model_is_loading_while_it_is_not_in_memory_and_nothing_is_painted() -> None:
    view = JobView(job=job_of(Status.RUNNING), progress=0)
    own = view.job.request.spec.model
    assert is_loading(view, in_memory("other"))
    assert not is_loading(view, in_memory("other", own))
    assert not is_loading(replace(view, progress=0.1), in_memory("other"))
    assert not is_loading(view, []), "these workers do not say"


def test_an_enlargement_loads_no_model() -> None:
    job = job_of(Status.RUNNING, spec=replace(SPEC, upscale=Upscale(sha256="a" * 64)))
    assert not is_loading(JobView(job=job, progress=0), in_memory("other"))
