"""What operators read of the workers."""

from __future__ import annotations

from cogs.common.messages import Lines, MessageSpec
from cogs.operator._cloud import format_spending
from cogs.operator._messages import build_models, build_state, build_workers
from generation.cloud.money import CloudTerms, Spending
from generation.jobs.protocol import LoadedModelInfo
from generation.models.catalog import Catalog
from generation.policy.guild_access import GuildAccess
from generation.policy.quota import Usage
from generation.policy.usage import GuildUsage
from generation.scheduling.worker_status import WorkerStatus, compute_units_per_worker_s

UP = WorkerStatus(name="cuda:0", device="cuda:0", num_slots=10, num_images=3, units_per_s=4000.0)
DOWN = WorkerStatus(name="cuda:1", device="cuda:1", num_losses=2, trouble="it was silent for 300 s")
UNFIT = WorkerStatus(name="cuda:7", device="", is_unfit=True, trouble="There is no such card.")


def state(*workers: WorkerStatus) -> list[str]:
    said = build_state(
        GuildAccess(is_listed_only=False, standings={}),
        num_guilds=1,
        num_running=0,
        num_waiting=0,
        is_closed=False,
        is_paused=False,
        workers=workers,
        problems=(),
    )
    return said.split("\n")


def listed(found: MessageSpec) -> list[str]:
    [lines] = [each for each in found.blocks if isinstance(each, Lines)]
    return [str(each) for each in lines.lines]


def test_the_state_tells_a_single_worker_as_ever_and_counts_several() -> None:
    assert state(UP)[1] == "The worker is running."
    assert state(DOWN)[1] == "The worker is starting or restarting."
    assert state(UP, DOWN, UNFIT)[1] == "1 of 3 workers are running: `/operator workers`."


def test_each_worker_says_what_it_does_or_why_it_does_not() -> None:
    up, down, unfit = listed(build_workers((UP, DOWN, UNFIT)))
    assert up == "**cuda\\:0**\n-# 3 of 10 places taken · about 120 standard steps a minute"
    assert down == (
        "**cuda\\:1** is starting or restarting.\n-# lost 2 times since the start · it was silent for 300 s"
    )
    assert unfit == "**cuda\\:7** cannot be used: There is no such card\\."


def test_a_model_may_be_in_memory_on_several_devices() -> None:
    loaded = [LoadedModelInfo(name="paintbox", device=f"cuda:{number}", num_bytes=2**20) for number in range(2)]
    [shown] = listed(build_models(Catalog.open("paintbox").models, checks_safety=True, unusable={}, loaded=loaded))
    assert "In memory on cuda:0: 1 MiB. In memory on cuda:1: 1 MiB." in shown


def test_a_second_of_a_card_is_what_one_of_them_paints_in_it() -> None:
    assert compute_units_per_worker_s((UP, UP, DOWN)) == 4000.0
    assert compute_units_per_worker_s((DOWN,)) is None


def test_a_cloud_worker_without_places_is_not_starting() -> None:
    [said] = listed(build_workers((WorkerStatus(name="cloud", device="host", is_cloud=True),)))
    assert said == "**cloud** takes nothing now: it rests, or its month is spent."


def test_what_a_picture_cost_there_stands_beside_what_one_takes_here() -> None:
    used = [GuildUsage(1, Usage(num_images=4, used=4000)), GuildUsage(2, Usage(num_images=1, used=1000))]
    terms = CloudTerms("api.example.org", 5_000_000)
    said = format_spending(Spending(num_paid=4, spent=10_000), 13_000, terms, used, 500.0)
    assert said == (
        "**Cloud** (api.example.org): 4 paid pictures. They cost 0.01, 0.0025 a picture. "
        "Here a picture takes 2 GPU-seconds. This month: 0.013 of 5, reservations included."
    )
    assert format_spending(Spending(), 0, terms, [], None) == (
        "**Cloud** (api.example.org): 0 paid pictures. This month: 0 of 5, reservations included."
    )
