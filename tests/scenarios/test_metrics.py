"""The metrics of a bot that crashes agree with its database, and name nobody."""

from __future__ import annotations

import logging
import re
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.health import HealthStatus
from cli.logging_setup import Redacting
from cli.metrics_collector import MetricsPage
from discord_sandbox import Sandbox
from tests.reliability.agreement import compare, count_here, count_in_database
from tests.reliability.books import Books
from tests.scenarios.bot_harness import LivingBot, People, button_of, until_done, until_shown

PROMPT = "a vermilion lighthouse"


def value_of(text: str, name: str, **labels: str) -> float:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    assert found, name
    return sum(found)


async def render(bot: LivingBot) -> str:
    status = HealthStatus(bot.generation, bot.database, bot.parts.problems)
    page = MetricsPage(bot.settings, bot.generation, bot.generation.files, status)
    return (await page.render()).decode()


async def test_after_a_crash_what_was_counted_is_what_is_stored_and_no_label_names_anyone(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(Redacting())
    at_first = count_here()
    await bot.hold_painting()
    asked = [await people.ada.slash("imagine", prompt=f"{PROMPT} {each}", steps=3, count=2) for each in range(3)]
    bot.go_on_painting()
    await until_done(discord, asked[0])
    await bot.crash()
    books = Books(bot.settings.url_of_database)
    states = books.deliveries()
    await bot.start()
    asked.append(await people.bo.slash("imagine", prompt=f"break-image {PROMPT}", steps=2))
    asked.append(await people.bo.slash("imagine", prompt=f"withhold-image {PROMPT}", steps=2))
    asked.append(await people.bo.slash("imagine", prompt=f"endless-image {PROMPT}", steps=3))
    cancelled = await until_shown(discord, asked[-1])
    await people.bo.click(cancelled, button_of(cancelled, "cancel"))
    refused = await people.ada.slash("imagine", prompt=PROMPT, size="7x7")
    for each in asked:
        await until_done(discord, each)
    await discord.wait_for(lambda: not bot.tracker.tasks)
    text = await render(bot)
    counted = Counter(count_here())
    counted.subtract(at_first)
    assert compare(count_in_database(books), counted) == ({}, {})
    books.close()
    assert counted["jobs"] == 6 and counted["posted"] == 6
    assert (counted["failed"], counted["withheld"], counted["cancelled"]) == (1, 1, 1)
    assert refused.ephemeral
    _tells_of_all(text)
    job_ids = [(await bot.job_of(each)).id for each in asked]
    _names_nobody(text, people, job_ids)
    stories = {job_id: _tell_story(caplog.text, job_id) for job_id in job_ids}
    assert max(map(len, stories.values())) >= 3, (
        "and how each picture ended, but for those whose line the crash cut off"
    )
    untold = {job_id for job_id, story in stories.items() if "action=delivered" not in story[-1]}
    assert untold <= {job_id for job_id, state in states.items() if state == "posted"}, (
        "the crash cut off their last line"
    )


def _tells_of_all(text: str) -> None:
    """Every part has something to tell: nothing is left out by mistake."""
    assert value_of(text, "atelier_steps_total", member="one") > 0
    rows, capacity = (value_of(text, f"atelier_batch_{name}_total", member="one") for name in ("rows", "capacity_rows"))
    assert 0 < rows <= capacity
    assert value_of(text, "atelier_worker_state", member="one", state="up") == 1
    assert value_of(text, "atelier_discord_requests_total", status="2xx") > 0
    assert value_of(text, "atelier_acknowledge_seconds_count") >= 6
    assert value_of(text, "atelier_refusals_total") >= 1
    assert value_of(text, "atelier_queue_wait_seconds_count", outcome="done") > 0
    assert value_of(text, "atelier_delivery_seconds_count") >= 6
    assert value_of(text, "atelier_database_commit_seconds_count") > 0
    assert value_of(text, "atelier_queue_images") == 0
    assert value_of(text, "atelier_storage_free_bytes") > 0
    assert value_of(text, "atelier_build_info") == 1


def _tell_story(log: str, job_id: str) -> list[str]:
    """Looking for a job finds each line about it, from its acceptance on. Return these lines."""
    lines = [line for line in log.splitlines() if f"job={job_id}" in line]
    assert len(lines) == sum(job_id in line for line in log.splitlines())
    assert "action=accepted" in lines[0]
    return lines


def _names_nobody(text: str, people: People, job_ids: list[str]) -> None:
    values = {
        value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for value in sample.labels.values()
    }
    who = (people.ada.user, people.bo.user, people.mo.user, people.guild, people.general)
    known = {*(str(each.id) for each in who), "ada", "Harbour", "general", "vermilion", "lighthouse", *job_ids}
    assert not [value for value in values for each in known if re.search(rf"\b{re.escape(each)}\b", value)]
