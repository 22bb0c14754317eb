"""One request is one trace, from its arrival to its post, through a crash; and it names no one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cli import tracing as spans
from cli.trace_setup import traced
from cli.tracing import MAX_OPEN, SpanRecorder, build_context
from discord_sandbox import Sandbox
from generation import tracing
from generation.errors import ConfigurationError
from generation.jobs.job import new_job_id
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown
from tests.scenarios.conftest import blank_database as blank_database
from tests.scenarios.conftest import bot as bot
from tests.scenarios.conftest import discord as discord
from tests.scenarios.conftest import people as people

PROMPT = "a vermilion lighthouse"
STAGES = ["accepted", "queued", "painted", "checked", "stored", "posted"]


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    recorder = SpanRecorder(SimpleSpanProcessor(exporter))
    tracing.install(recorder)
    yield exporter
    tracing.install(None)
    recorder.shut_down()


def list_spans(exporter: InMemorySpanExporter, job_id: str) -> list[ReadableSpan]:
    """Return the spans of a job's trace, by their beginning."""
    found = [each for each in exporter.get_finished_spans() if each.context.trace_id == build_context(job_id).trace_id]
    return sorted(found, key=lambda each: (each.start_time, each.end_time))


async def test_a_request_is_one_trace_from_its_arrival_to_its_post(
    discord: Sandbox, people: People, bot: LivingBot, exporter: InMemorySpanExporter
) -> None:
    asked = await people.ada.slash("imagine", prompt=PROMPT, steps=3)
    job_id = (await bot.job_of(asked)).id if await until_shown(discord, asked) else ""
    await until_done(discord, asked)
    await discord.wait_for(lambda: not bot.tracker.tasks)
    [root] = [each for each in list_spans(exporter, job_id) if each.parent is None]
    stages = [each for each in list_spans(exporter, job_id) if each.parent is not None]
    assert sorted(each.name for each in stages) == sorted(STAGES)
    assert {each.parent.span_id for each in stages} == {root.context.span_id} == {build_context(job_id).span_id}
    at = {each.name: (each.start_time, each.end_time) for each in stages}
    for earlier, later in pairwise(STAGES[1:]):
        assert at[earlier][1] <= at[later][1], (earlier, later)
    assert root.name == "request"
    assert root.start_time == min(began for began, _ in at.values())
    assert root.end_time == max(ended for _, ended in at.values())
    said = " ".join(each.to_json() for each in [root, *stages])
    assert "vermilion" not in said and '"atelier.steps": 3' in said
    assert str(people.ada.user.id) not in said and str(people.guild.id) not in said


async def test_what_comes_after_a_crash_is_in_the_same_trace(
    discord: Sandbox, people: People, bot: LivingBot, exporter: InMemorySpanExporter
) -> None:
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=PROMPT, steps=3)
    await until_shown(discord, asked)
    job_id = (await bot.job_of(asked)).id
    await bot.crash()
    await bot.start()
    await until_done(discord, asked)
    await discord.wait_for(lambda: not bot.tracker.tasks)
    names = [each.name for each in list_spans(exporter, job_id)]
    assert set(names) == {"request", *STAGES}
    assert names.count("accepted") == names.count("posted") == 1


def test_a_job_that_is_never_posted_ends_with_its_pictures(exporter: InMemorySpanExporter) -> None:
    job_id = new_job_id()
    tracing.record(job_id, "queued", 1.0, 2.0)
    tracing.record(job_id, "painted", None)
    tracing.end(job_id)
    assert sorted(each.name for each in list_spans(exporter, job_id)) == ["queued", "request"]


def test_what_is_open_is_bounded_and_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    recorder = SpanRecorder(SimpleSpanProcessor(exporter))
    assert MAX_OPEN >= 1000
    monkeypatch.setattr(spans, "MAX_OPEN", 2)
    for _ in range(3):
        recorder.expect_post(new_job_id())
    assert len(exporter.get_finished_spans()) == 1
    recorder.shut_down()
    assert len(exporter.get_finished_spans()) == 3


def test_without_the_setting_nothing_is_recorded_and_without_the_extra_the_start_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with traced(None):
        assert tracing._recorder is None
    monkeypatch.setitem(sys.modules, "cli.tracing", None)
    with pytest.raises(ConfigurationError, match="OpenTelemetry is not installed"):
        traced("http://127.0.0.1:4318/v1/traces")


def test_an_endpoint_that_is_down_ends_nothing() -> None:
    logging.getLogger("opentelemetry").disabled = True
    with traced("http://127.0.0.1:1/v1/traces"):
        assert tracing._recorder is not None
        tracing.end(new_job_id())
    assert tracing._recorder is None
